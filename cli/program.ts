// The commands, their options, and the exit code of each failure.
import { Argument, Command, CommanderError, Option } from "npm:commander@14.0.3";
import config from "../deno.json" with { type: "json" };
import { DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND } from "../mod.ts";
import { bench, type BenchOptions } from "./bench.ts";
import { completion, SHELLS } from "./completion.ts";
import { doctor, type DoctorOptions } from "./doctor.ts";
import { EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { helpText } from "./help_text.ts";
import { endEarly } from "./interruption.ts";
import {
  benchSize,
  bufferSize,
  commandName,
  interval,
  pathName,
  seconds,
  size,
  writeBehind,
} from "./option_values.ts";
import { note, print, warn } from "./output.ts";
import { resolveDestination } from "./destination.ts";
import { type OutputOptions, writeOut } from "./standard_output.ts";
import { type Source, sourceOf, standardInput } from "./source.ts";
import { columns, hasColors, styled } from "./styling.ts";
import { transfer } from "./transfer.ts";
import type { TransferOptions } from "./transfer_options.ts";
import { formatSize } from "./units.ts";

/** Standard input or standard output in place of a path. */
const STANDARD = "-";
const HELP_COLUMNS = 80;
const BENCH_SECONDS = 10;

function withTransferOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--atomic",
        "make the file appear only when it is complete and durable",
      ).conflicts("append"),
    )
    .option("--append", "write to the end of the file, even if other programs append to it")
    .addOption(
      new Option("--no-clobber", "fail if the file exists").conflicts(["atomic", "append"]),
    )
    .option(
      "--size <size>",
      "bytes expected from a pipe, such as 10G; their space is reserved",
      size,
    )
    .option(
      "--buffer-size <size>",
      `bytes of one buffer, such as 512K or 1M (default: ${formatSize(DEFAULT_BUFFER_SIZE)})`,
      bufferSize,
    )
    .option(
      "--write-behind <n>",
      `buffers in flight at once (default: ${DEFAULT_WRITE_BEHIND})`,
      writeBehind,
    )
    .addOption(directOption())
    .option(
      "--flush-every <time>",
      "interval at which input is written, such as 500ms or 5s; 0: only full buffers " +
        "(default: 1s for a pipe, 0 for a file)",
      interval,
    )
    .option("--verify", "read the data back from the disk and compare")
    .option("--no-sync", "do not make the data durable")
    .option("--json", "print one JSON object at the end instead of a line")
    .option("--no-progress", "draw no progress bar")
    .option("--quiet", "print errors only");
}

function directOption(): Option {
  return new Option(
    "--direct <how>",
    "Direct I/O: fail without it, use it where available, or never use it",
  )
    .choices(["require", "prefer", "off"]).default("prefer");
}

/** Options that make no sense for standard output. */
const FILE_OPTIONS = [
  ...["atomic", "append", "clobber", "bufferSize", "writeBehind", "direct", "flushEvery", "sync"],
  ...["json", "preserve", "sparse", "verify"],
];

/** Ends with an error of usage if one of these options was given. */
function refuse(command: Command, names: readonly string[], what: string): void {
  const given = command.options.find((option) =>
    names.includes(option.attributeName()) &&
    command.getOptionValueSource(option.attributeName()) === "cli"
  );
  if (given) command.error(`error: option '${given.long}' cannot be used with ${what}`);
}

/** Copies a path or standard input to a file or to standard output. */
async function run(
  from: string,
  dest: string,
  options: TransferOptions,
  command: Command,
): Promise<number> {
  if (dest === STANDARD) refuse(command, FILE_OPTIONS, "standard output");
  else if (options.append && options.direct === "require") {
    command.error("error: option '--direct require' cannot be used with option '--append'");
  }
  const isInput = from === STANDARD;
  const open = async (): Promise<Source> => isInput ? standardInput() : await sourceOf(from);
  if (isInput && Deno.stdin.isTerminal()) {
    if (!options.quiet) note("reading what you type; Ctrl-D on a line of its own ends it");
    // A progress bar would be drawn between other output.
    options.progress = false;
  }
  const path = isInput ? undefined : from;
  return dest === STANDARD
    ? await writeOut(open, options, path)
    : await transfer(open, dest, options, path);
}

/** An error of usage in one line, with a pointer to the help. */
function usageError(text: string, command: string): string {
  const message = text.trim().replace(/^error: /, "").replace(/\.$/, "").replaceAll("\n", " ");
  const flag = /^unknown option '(-A|--allow-[^']*)'/.exec(message)?.[1];
  if (flag !== undefined) {
    return `${message}; Deno's own flags go before the name of the program, as in deno run ${flag} ...`;
  }
  return message.includes("Did you mean") ? message : `${message}; ${command} --help says more`;
}

/** A command in the list of commands, without "[options]", which all have. */
function subcommandTerm(command: Command): string {
  const places = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`
  );
  return [command.name(), ...places].join(" ");
}

function withOutput(command: Command): Command {
  const name = command.parent ? `${command.parent.name()} ${command.name()}` : command.name();
  return command
    .exitOverride()
    .helpOption("-h, --help", "show this help")
    .addHelpText("after", helpText(command.parent ? command.name() : ""))
    .configureHelp({ styleTitle: (title) => styled(title, "bold"), subcommandTerm })
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: warn,
      outputError: (text) => note(usageError(text, name)),
      getOutHelpWidth: () => columns(HELP_COLUMNS),
      getErrHelpWidth: () => columns(HELP_COLUMNS),
      getOutHasColors: () => hasColors(Deno.stdout),
      getErrHasColors: () => hasColors(Deno.stderr),
    });
}

function program(finish: (code: number) => void): Command {
  const root = withOutput(new Command("dma"))
    .description(
      "Write files with Direct I/O over io_uring: at the speed of the disk, durable when done, and " +
        "without evicting other data from the page cache.",
    )
    .usage("COMMAND [options]")
    .version(config.version, "-V, --version", "print the version number")
    .helpCommand("help [command]", "show the help of a command");

  withTransferOptions(
    root.command("write")
      .summary("write standard input to a file")
      .description("Write standard input to a file, and make it durable.")
      .argument("<dest>", "file to write, or - for standard output", pathName),
  )
    .action(async (dest: string, options: TransferOptions, command: Command) => {
      finish(await run(STANDARD, dest, options, command));
    });

  withTransferOptions(
    root.command("copy")
      .summary("copy a file, a FIFO or a device")
      .description("Copy a file, or the contents of a FIFO or a device, and make the copy durable.")
      .argument("<source>", "file to read, or - for standard input", pathName)
      .argument(
        "<dest>",
        "file or directory to write to, or - for standard output",
        pathName,
      ),
  )
    .option("-p, --preserve", "keep exact mode, owner and times of the source")
    .addOption(
      new Option("--sparse <when>", "keep the holes of the source, or write zeros instead")
        .choices(["auto", "never"]).default("auto"),
    )
    .action(async (source: string, dest: string, options: TransferOptions, command: Command) => {
      if (source === STANDARD) refuse(command, ["preserve", "sparse"], "standard input");
      const target = source === STANDARD ? dest : await resolveDestination(dest, source);
      finish(await run(source, target, options, command));
    });

  root.command("read")
    .summary("write a file to standard output")
    .description("Write a file to standard output, past the page cache.")
    .argument("<file>", "file to read", pathName)
    .addOption(directOption())
    .option("--no-progress", "draw no progress bar")
    .option("--quiet", "print errors only")
    .action(async (file: string, options: OutputOptions & Pick<TransferOptions, "direct">) => {
      finish(await writeOut(() => sourceOf(file, options.direct), options, file));
    });

  root.command("doctor")
    .summary("report what works here, and how to fix the rest")
    .description("Report what works on this machine and path, and how to fix the rest.")
    .argument("[path]", "directory or file to try Direct I/O on", pathName, ".")
    .option("--json", "print one JSON object")
    .action(async (path: string, options: DoctorOptions) => {
      finish(await doctor(path, options));
    });

  root.command("bench")
    .summary("measure this disk, beside Deno's own streams")
    .description("Measure how fast this module and Deno's own streams write and read a disk.")
    .argument("[dir]", "directory to write in", pathName, ".")
    .option("--seconds <n>", "approximate duration", seconds, BENCH_SECONDS)
    .option(
      "--size <size>",
      "bytes of each file, such as 256M (default: chosen to fit the time)",
      benchSize,
    )
    .option("--json", "print one JSON object")
    .action(async (dir: string, options: BenchOptions) => {
      finish(await bench(dir, options));
    });

  root.command("completion")
    .summary("print a completion script for a shell")
    .description("Print a script with which a shell completes commands and options.")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .option("--name <name>", "name that dma is installed under", commandName, "dma")
    .action((shell: string, options: { name: string }) => {
      print(completion(root, shell, options.name));
    });

  for (const command of root.commands) withOutput(command);
  return root;
}

/**
 * Arguments that make commander name an unknown command. For `help wriet` and `wriet --help` it would print its general
 * help.
 */
function withoutHelpForUnknown(root: Command, args: string[]): string[] {
  const name = args[0] === "help" ? args[1] : args[0];
  const unknown = name !== undefined && name !== "help" && !name.startsWith("-") &&
    !root.commands.some((command) => command.name() === name);
  return unknown ? [name] : args;
}

/** Runs the command line `args` and resolves to the exit code. It never throws, and does not end the process. */
export async function main(args: string[]): Promise<number> {
  let code = EXIT_OK;
  try {
    const root = program((result) => code = result);
    await root.parseAsync(withoutHelpForUnknown(root, args), { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Requested help and version are no error. A bare `dma` shows the help, but is an error of usage.
      return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    }
    return endEarly(error);
  }
}
