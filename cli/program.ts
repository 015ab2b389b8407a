// The commands, their options, and the way from whatever goes wrong to an exit code.
import { Command, CommanderError, InvalidArgumentError, Option } from "npm:commander@^14.0.0";
import config from "../deno.json" with { type: "json" };
import { doctor, type DoctorOptions } from "./doctor.ts";
import { EXIT_CODES_HELP, EXIT_IO_ERROR, EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { describe, note, print, warn } from "./output.ts";
import { sourceOf, standardInput } from "./source.ts";
import { transfer, type TransferOptions } from "./transfer.ts";
import { formatSize, parseSize } from "./units.ts";

const MAX_BUFFER_SIZE = 1024 ** 3;
const MAX_WRITE_BEHIND = 1024;

function bufferSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes > MAX_BUFFER_SIZE) {
    throw new InvalidArgumentError(
      `It must be a size such as 65536, 512K or 1M, at most ${formatSize(MAX_BUFFER_SIZE)}`,
    );
  }
  return bytes;
}

function writeBehind(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(count >= 1 && count <= MAX_WRITE_BEHIND)) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_WRITE_BEHIND}`);
  }
  return count;
}

function withTransferOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--atomic",
        "let the name appear only when everything is written and durable",
      ).conflicts("append"),
    )
    .option("--append", "begin at the end of the file and keep what is there")
    .option("--buffer-size <size>", "bytes of one buffer, as 512K or 1M", bufferSize)
    .option("--write-behind <n>", "buffers that may be in flight at once", writeBehind)
    .addOption(
      new Option("--direct <how>", "Direct I/O: fail without it, use it where it is, or do without")
        .choices(["require", "prefer", "off"]).default("prefer"),
    )
    .option("--no-sync", "end without making the data durable")
    .option("--no-progress", "no progress bar on a terminal")
    .option("--quiet", "say nothing but errors");
}

function program(finish: (code: number) => void): Command {
  const root = new Command("dma")
    .description("Write files with Direct I/O over io_uring, past the page cache.")
    .version(config.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: warn,
      outputError: (text) => note(text.trim().replace(/^error: /, "").replaceAll("\n", " ")),
      getOutHelpWidth: () => 100,
      getErrHelpWidth: () => 100,
      // Asking the environment for colours would need a permission that nothing else here needs.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText("after", EXIT_CODES_HELP);

  withTransferOptions(
    root.command("write")
      .description("write standard input to a file")
      .argument("<dest>", "file to write; it is replaced unless --append is given"),
  )
    .action(async (dest: string, options: TransferOptions) => {
      finish(await transfer(standardInput, dest, options));
    });

  withTransferOptions(
    root.command("copy")
      .description("copy a file, or what comes out of a FIFO or a device")
      .argument("<source>", "what to read")
      .argument("<dest>", "file to write; it is replaced unless --append is given"),
  )
    .action(async (source: string, dest: string, options: TransferOptions) => {
      finish(await transfer(() => sourceOf(source), dest, options));
    });

  root.command("doctor")
    .description("say what works on this machine, and why the rest does not")
    .argument("[path]", "directory or file that Direct I/O is tried on", ".")
    .option("--json", "print one JSON object")
    .action(async (path: string, options: DoctorOptions) => {
      finish(await doctor(path, options));
    });
  return root;
}

/** Runs the command line `args` and resolves to the exit code. It never throws, and never ends the process by itself. */
export async function main(args: string[]): Promise<number> {
  let code = EXIT_OK;
  try {
    await program((result) => code = result).parseAsync(args, { from: "user" });
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
