// The completion script for fish.
import { type Completable, type CompletableOption, said, type Values } from "./completion_tree.ts";

export function fishScript(name: string, commands: Completable[]): string[] {
  const [root, ...rest] = commands;
  const line = (...parts: string[]) => ["complete", "-c", name, ...parts].filter(Boolean).join(" ");
  const none = "-n __fish_use_subcommand";
  return [
    `# Completion of ${name} in fish: ${name} completion fish > ~/.config/fish/completions/${name}.fish`,
    line("-f"),
    ...root!.options.map((option) => line(none, optionParts(option))),
    ...rest.map(({ name, description }) => line(none, "-a", name, "-d", quote(description))),
    ...rest.flatMap(({ name, options, places }) => {
      const seen = `-n ${quote(`__fish_seen_subcommand_from ${name}`)}`;
      // Fish does not know the position of an argument, so each position offers the values of all.
      const offered = new Set(places.map(({ values }) => offer(values)));
      return [
        ...options.map((option) => line(seen, optionParts(option))),
        ...[...offered].map((parts) => line(seen, parts)),
      ];
    }),
  ];
}

function optionParts({ flags, description, value }: CompletableOption): string {
  const spelt = flags.map((flag) =>
    flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`
  );
  const takes = value ? ["-x", offer(value.values)] : [];
  return [...spelt, ...takes, "-d", quote(description)].filter(Boolean).join(" ");
}

const offer = (values: Values) =>
  said(values, {
    files: "-F",
    directories: "-a '(__fish_complete_directories)'",
    unknown: "",
    words: (words) => `-a ${quote(words)}`,
  });

function quote(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}
