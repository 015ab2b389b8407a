// The completion script for zsh. It can be sourced, or installed as the file _dma in a directory of $fpath.
import { type Completable, type CompletableOption, said, type Values } from "./completion_tree.ts";

export function zshScript(name: string, commands: Completable[]): string[] {
  const [root, ...rest] = commands;
  const run = `_${name.replaceAll("-", "_")}`;
  return [
    `#compdef ${name}`,
    `# Completion of ${name} in zsh: source <(${name} completion zsh), after compinit`,
    `${run}() {`,
    "  local curcontext=$curcontext state line",
    "  local -a commands",
    "  commands=(",
    ...rest.map(({ name, description }) => `    ${quote(`${name}:${description}`)}`),
    "  )",
    "  _arguments -C \\",
    ...root!.options.flatMap(optionSpecs).map((spec) => `    ${spec} \\`),
    "    '1:command:->command' \\",
    "    '*::argument:->argument' && return",
    "  case $state in",
    "    command) _describe command commands ;;",
    "    argument)",
    "      case $words[1] in",
    ...rest.flatMap(commandCase),
    "      esac ;;",
    "  esac",
    "}",
    "# An autoloaded file is the function itself; a sourced one only defines it.",
    `if [[ $funcstack[1] == ${run} ]]; then ${run} "$@"; else compdef ${run} ${name}; fi`,
  ];
}

function commandCase({ name, options, places }: Completable): string[] {
  const specs = [
    ...options.flatMap(optionSpecs),
    ...places.map(({ name, values }, index) => quote(`${index + 1}:${name}:${action(values)}`)),
  ];
  return [`        ${name})`, `          _arguments ${specs.join(" \\\n            ")} ;;`];
}

function optionSpecs({ flags, description, value }: CompletableOption): string[] {
  // In a description, brackets and colons are zsh's own separators.
  const shown = `[${description.replace(/[[\]:\\]/g, "\\$&")}]`;
  const takes = value && `:${value.name}:${action(value.values)}`;
  return flags.map((flag) => {
    const others = flags.length > 1 ? `(${flags.join(" ")})` : "";
    return quote(`${others}${flag}${takes ? "=" : ""}${shown}${takes ?? ""}`);
  });
}

const action = (values: Values) =>
  said(values, {
    files: "_files",
    directories: "_files -/",
    unknown: " ",
    words: (words) => `(${words})`,
  });

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
