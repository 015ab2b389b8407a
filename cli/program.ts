// The commands, their options, and the way from whatever goes wrong to an exit code.
import { Argument, Command, CommanderError, Option } from "npm:commander@14.0.3";
import config from "../deno.json" with { type: "json" };
import { DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND } from "../mod.ts";
import { bench, type BenchOptions } from "./bench.ts";
import { completion, SHELLS } from "./completion.ts";
import { doctor, type DoctorOptions } from "./doctor.ts";
import { EXIT_IO_ERROR, EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { helpText } from "./help_text.ts";
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
import { describe, note, print, warn } from "./output.ts";
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
        "let the name appear only when everything is written and durable",
      ).conflicts("append"),
    )
    .option("--append", "begin at the end of the file and keep what is there")
    .addOption(
      new Option("--no-clobber", "fail where the file exists").conflicts(["atomic", "append"]),
    )
    .option(
      "--size <size>",
      "bytes expected from a pipe, as 10G: space is reserved, and the bar has an end",
      size,
    )
    .option(
      "--buffer-size <size>",
      `bytes of one buffer, as 512K or 1M (default: ${formatSize(DEFAULT_BUFFER_SIZE)})`,
      bufferSize,
    )
    .option(
      "--write-behind <n>",
      `buffers that may be in flight at once (default: ${DEFAULT_WRITE_BEHIND})`,
      writeBehind,
    )
    .addOption(directOption())
    .option(
      "--flush-every <time>",
      "write what came after so much time, as 500ms or 1s; 0: when a buffer is full (default: 1s, " +
        "and 0 for a regular file)",
      interval,
    )
    .option("--verify", "read back what was written, from the disk itself, and compare")
    .option("--no-sync", "end without making the data durable")
    .option("--json", "print one JSON object at the end, instead of a line")
    .option("--no-progress", "no progress bar on a terminal")
    .option("--quiet", "say nothing but errors");
}

function directOption(): Option {
  return new Option(
    "--direct <how>",
    "Direct I/O: fail without it, use it where it is, or do without",
  )
    .choices(["require", "prefer", "off"]).default("prefer");
}

/** Options that standard output has nothing to do with. */
const FILE_OPTIONS = [
  ...["atomic", "append", "clobber", "bufferSize", "writeBehind", "direct", "flushEvery", "sync"],
  ...["json", "preserve", "sparse", "verify"],
];

/** Ends with an error of usage where an option was given that `what` cannot have. */
function refuse(command: Command, names: readonly string[], what: string): void {
  const given = command.options.find((option) =>
    names.includes(option.attributeName()) &&
    command.getOptionValueSource(option.attributeName()) === "cli"
  );
  if (given) command.error(`error: option '${given.long}' cannot be used with ${what}`);
}

/** Reads a path, or standard input, into a file or standard output. */
async function run(
  from: string,
  dest: string,
  options: TransferOptions,
  command: Command,
): Promise<number> {
  const isInput = from === STANDARD;
  const open = (): Promise<Source> => isInput ? standardInput() : sourceOf(from);
  if (isInput && Deno.stdin.isTerminal()) {
    if (!options.quiet) note("reading what you type; Ctrl-D on a line of its own ends it");
    // A bar would be drawn between the words.
    options.progress = false;
  }
  const path = isInput ? undefined : from;
  if (dest !== STANDARD) return await transfer(open, dest, options, path);
  refuse(command, FILE_OPTIONS, "standard output");
  return await writeOut(open, options, path);
}

/** An error of usage in one line that ends in where to look. */
function usageError(text: string, command: string): string {
  const message = text.trim().replace(/^error: /, "").replace(/\.$/, "").replaceAll("\n", " ");
  const flag = /^unknown option '(-A|--allow-[^']*)'/.exec(message)?.[1];
  if (flag !== undefined) {
    return `${message}; Deno's own flags go before the name of the program, as in deno run ${flag} ...`;
  }
  return message.includes("Did you mean") ? message : `${message}; ${command} --help says more`;
}

/** A command in the list of them, without "[options]": all have some. */
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
        "without pushing anything out of the page cache.",
    )
    .usage("COMMAND [options]")
    .version(config.version, "-V, --version", "print the version number")
    .helpCommand("help [command]", "the help of a command");

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
      .summary("copy a file, or what comes out of a FIFO or a device")
      .description("Copy a file, or what comes out of a FIFO or a device, and make it durable.")
      .argument("<source>", "what to read, or - for standard input", pathName)
      .argument(
        "<dest>",
        "file to write, directory to write in, or - for standard output",
        pathName,
      ),
  )
    .option("-p, --preserve", "keep the owner, the exact mode and the times of the source")
    .addOption(
      new Option("--sparse <when>", "keep the holes of the source, or write zeros in their place")
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
    .argument("<file>", "what to read", pathName)
    .addOption(directOption())
    .option("--no-progress", "no progress bar on a terminal")
    .option("--quiet", "say nothing but errors")
    .action(async (file: string, options: OutputOptions & Pick<TransferOptions, "direct">) => {
      finish(await writeOut(() => sourceOf(file, options.direct), options, file));
    });

  root.command("doctor")
    .summary("say what works here, and what would mend the rest")
    .description("Say what works on this machine and path, and what would mend the rest.")
    .argument("[path]", "directory or file that Direct I/O is tried on", pathName, ".")
    .option("--json", "print one JSON object")
    .action(async (path: string, options: DoctorOptions) => {
      finish(await doctor(path, options));
    });

  root.command("bench")
    .summary("how fast is this disk, beside Deno's own way")
    .description("Measure how fast a disk is by this module, and by Deno's own way.")
    .argument("[dir]", "directory to write in", pathName, ".")
    .option("--seconds <n>", "time it may take, about", seconds, BENCH_SECONDS)
    .option("--size <size>", "bytes of each file, as 256M (default: what fits the time)", benchSize)
    .option("--json", "print one JSON object")
    .action(async (dir: string, options: BenchOptions) => {
      finish(await bench(dir, options));
    });

  root.command("completion")
    .summary("print a script that completes in a shell")
    .description("Print the script that lets a shell complete commands and options.")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .option("--name <name>", "the name dma was installed under", commandName, "dma")
    .action((shell: string, options: { name: string }) => {
      print(completion(root, shell, options.name));
    });

  for (const command of root.commands) withOutput(command);
  return root;
}

/** Commander answers `help wriet` and `wriet --help` with all of its help, and no word of what is wrong. */
function withoutHelpForUnknown(root: Command, args: string[]): string[] {
  const name = args[0] === "help" ? args[1] : args[0];
  const unknown = name !== undefined && name !== "help" && !name.startsWith("-") &&
    !root.commands.some((command) => command.name() === name);
  return unknown ? [name] : args;
}

/** Runs the command line `args` and resolves to the exit code. It never throws, and never ends the process by itself. */
export async function main(args: string[]): Promise<number> {
  let code = EXIT_OK;
  try {
    const root = program((result) => code = result);
    await root.parseAsync(withoutHelpForUnknown(root, args), { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version that were asked for are no error; a bare `dma` shows the help, but did not do anything.
      return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    }
    // A pipe that was closed, as by `head`, needs no words; its exit code says enough.
    if (!(error instanceof Deno.errors.BrokenPipe)) note(describe(error));
    return EXIT_IO_ERROR;
  }
}
