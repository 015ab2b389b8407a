// The commands, options and arguments that can be completed, in a form for every shell.
import type { Argument, Command, Option } from "npm:commander@14.0.3";

/** The values of an argument: some words, files, directories, or unknown. */
export type Values = readonly string[] | "files" | "directories" | "unknown";

/** What a script says of an argument, by the kind of its values. */
export type ByValues = Record<"files" | "directories" | "unknown", string> & {
  words: (words: string) => string;
};

/** What a script says of values. */
export function said(values: Values, by: ByValues): string {
  return typeof values === "string" ? by[values] : by.words(values.join(" "));
}

/** An option in its spellings. */
export interface CompletableOption {
  /** For example "-h" and "--help". */
  flags: string[];
  /** One line. */
  description: string;
  /** Its argument; undefined if it has none. */
  value: { name: string; values: Values } | undefined;
}

/** A command, or the command line itself, whose name is "". */
export interface Completable {
  name: string;
  /** One line. */
  description: string;
  options: CompletableOption[];
  /** The arguments, in order. */
  places: { name: string; values: Values }[];
}

/** The command line itself first, then each command. */
export function completables(root: Command): Completable[] {
  const commands = root.createHelp().visibleCommands(root);
  const names = commands.map((command) => command.name());
  return [
    { ...completable(root, names), name: "", places: [{ name: "command", values: names }] },
    ...commands.map((command) => completable(command, names)),
  ];
}

function completable(command: Command, commands: string[]): Completable {
  const help = command.createHelp();
  return {
    name: command.name(),
    description: help.subcommandDescription(command),
    options: help.visibleOptions(command).map(option),
    places: command.registeredArguments.map((argument) => place(argument, commands)),
  };
}

function option(option: Option): CompletableOption {
  const { argChoices, description, flags, long, required, short } = option;
  const name = /[<[](.*?)[>\]]/.exec(flags)?.[1] ?? "value";
  return {
    flags: [short, long].filter((flag) => flag !== undefined),
    description,
    value: required || option.optional ? { name, values: argChoices ?? "unknown" } : undefined,
  };
}

// The kind of an argument follows from its name.
function place(argument: Argument, commands: string[]): { name: string; values: Values } {
  const name = argument.name();
  if (argument.argChoices !== undefined) return { name, values: argument.argChoices };
  if (name === "command") return { name, values: commands };
  return { name, values: name === "dir" ? "directories" : "files" };
}
