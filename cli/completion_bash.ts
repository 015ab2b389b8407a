// The completion script for bash. It works without the bash-completion package.
import { type Completable, said, type Values } from "./completion_tree.ts";

export function bashScript(name: string, commands: Completable[]): string[] {
  const run = `_${name.replaceAll("-", "_")}`;
  const taking = new Set(
    commands.flatMap(({ options }) =>
      options.filter(({ value }) => value).flatMap(({ flags }) => flags)
    ),
  );
  return [
    `# Completion of ${name} in bash: source <(${name} completion bash)`,
    `${run}() {`,
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}",
    "  # In --option=value the sign is a word by itself.",
    "  if [[ $cur == = ]]; then",
    "    cur=",
    "  elif [[ $prev == = ]]; then",
    "    prev=${COMP_WORDS[COMP_CWORD-2]}",
    "  fi",
    "  local command= place=0 ended= words= i",
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    "    case $ended${COMP_WORDS[i]} in",
    "      --) ended=1 ;;",
    `      ${[...taking].join("|")})`,
    "        [[ ${COMP_WORDS[i+1]} == = ]] && ((i++))",
    "        ((i++)) ;;",
    "      -*) ;;",
    "      *) if [[ $command ]]; then ((place++)); else command=${COMP_WORDS[i]}; fi ;;",
    "    esac",
    "  done",
    "  COMPREPLY=()",
    "  case $ended$command:$prev in",
    ...commands.flatMap(optionValues),
    "  esac",
    "  if [[ ! $ended && $cur == -* ]]; then",
    "    case $command in",
    ...commands.map(({ name, options }) =>
      `      '${name}') words='${options.flatMap(({ flags }) => flags).join(" ")}' ;;`
    ),
    "    esac",
    `    COMPREPLY=($(compgen -W "$words" -- "$cur"))`,
    "    return",
    "  fi",
    "  case $command:$place in",
    ...commands.flatMap(({ name, places }) =>
      places.map(({ values }, place) => `    '${name}:${place}') ${complete(values)} ;;`)
    ),
    "    *) compopt +o default 2>/dev/null ;;",
    "  esac",
    "}",
    `complete -o default -F ${run} ${name}`,
  ];
}

function optionValues({ name, options }: Completable): string[] {
  return options.filter(({ value }) => value).map(({ flags, value }) => {
    const patterns = flags.map((flag) => `'${name}:${flag}'`).join("|");
    return `    ${patterns}) ${complete(value!.values)}; return ;;`;
  });
}

// Outside of a completion compopt fails with a message, which the redirection hides.
const complete = (values: Values) =>
  said(values, {
    // Readline's own completion quotes names as they need it.
    files: ":",
    directories: "compopt +o default -o dirnames 2>/dev/null",
    unknown: "compopt +o default 2>/dev/null",
    words: (words) =>
      `compopt +o default 2>/dev/null; COMPREPLY=($(compgen -W '${words}' -- "$cur"))`,
  });
