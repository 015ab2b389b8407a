// The text of --help below the list of options, with at most 80 columns.
import {
  DEFAULT_BUFFER_SIZE,
  DEFAULT_READ_AHEAD,
  DEFAULT_READ_BUFFER_SIZE,
  DEFAULT_WRITE_BEHIND,
} from "../mod.ts";
import { EXIT_CODES_HELP } from "./exit_codes.ts";
import { styled } from "./styling.ts";
import { formatSize } from "./units.ts";
import { fileURLToPath } from "node:url";

const PACKAGE = "jsr:@denodma/dma/cli";

/** This program, as an argument of `deno run`: the file in a clone, else the package. */
export const PROGRAM = Deno.mainModule.startsWith("file:") && !Deno.build.standalone
  ? fileURLToPath(Deno.mainModule)
  : PACKAGE;

const BUFFER = formatSize(DEFAULT_BUFFER_SIZE);
const MEMORY = formatSize((DEFAULT_WRITE_BEHIND + 1) * DEFAULT_BUFFER_SIZE);
const READ_BUFFER = formatSize(DEFAULT_READ_BUFFER_SIZE);

const TOP = `
Examples:
  tar c folder | dma write --atomic backup.tar    appears when it is durable
  dma copy --verify disk.img /mnt/disk.img        a durable copy, read back
  dma bench /mnt                                  the speed of that disk in 10 s

"dma" stands for deno run -A ${PACKAGE}, in a clone for
deno run -A cli.ts. To install it as a command, with completion in bash:
  deno install --global -A --name dma ${PACKAGE}
  echo 'source <(dma completion bash)' >> ~/.bashrc
${EXIT_CODES_HELP}

Permissions (-A grants all; Deno's flags go before the name of the program):
  --allow-ffi          always, for calls to the kernel
  --allow-read=PATH    for the file that is read and the file that is written
  --allow-write=PATH   for the file that is written
  --allow-env          only for DMA_ENGINE=io_uring or DMA_ENGINE=threads
  Some file systems need read and write for the directory of <dest> with
  --atomic. doctor and bench report more with --allow-all.

dma COMMAND --help describes one command.`;

const DURABILITY = `
Durability:
  Exit code 0 means that data, length and, for a new file, the name are on
  stable storage: they survive a power cut. With --no-sync a power cut within
  about half a minute can lose the data.
  --atomic writes a file without a name, or under a hidden one in the same
  directory, and gives it its name at the end. A program that opens the path
  sees the old file or the complete new one. The new file keeps the mode of the
  old one, and the owner if this user may set it.
  --verify reads the data back from the disk, past the page cache, and compares
  it. A difference is an error; with --atomic the file then never appears.

Stopping:
  Ctrl-C, SIGTERM, SIGHUP and an error of the source keep all accepted bytes:
  the file is closed and durable, and a line shows the number of bytes. With
  --atomic the old file stays, or none appears.
  After SIGKILL or a power cut the file can end in zeros or have holes: do not
  resume at its size. With --append SIGKILL leaves neither, even if other
  processes append too; only the last line can be incomplete.`;

const MEANS = `
Defaults:
  ${BUFFER} buffers, ${DEFAULT_WRITE_BEHIND} in flight: ${MEMORY} of memory, whatever the length of the input.
  Direct I/O if the file system has it, else the page cache.`;

const JSON_TEXT = `
JSON:
  --json prints one object on standard output at the end, also after a failure:
  ok, bytes, holes, seconds, rate (bytes a second), path, direct, engine,
  bufferSize, writeBehind, synced, verified, atomic, appended, fileSize, signal,
  error (message, name, code, errno, op, path, remedy) and exitCode. "bytes"
  counts the bytes of the input that are in the file, also after a failure.`;

const WRITE = `
Examples:
  tar c folder | dma write --atomic backup.tar
  journalctl -f | dma write --append service.log
  curl -s https://example.com/big.iso | dma write --json big.iso | jq .rate

The end of the input:
  The end of a pipe does not show whether the program before it has failed. In
  bash, "set -o pipefail" makes the exit code show it; the file stays.

Slow input:
  If the input is a pipe, all bytes so far are written and made durable once a
  second, even if no buffer is full. --flush-every changes the interval. With
  --direct off and without --size other programs can follow the file.
${MEANS}
${DURABILITY}
${JSON_TEXT}`;

const COPY = `
Examples:
  dma copy --verify disk.img /mnt/backup/
  dma copy --atomic new.db /srv/app/data.db
  dma copy /dev/sdb usb-stick.img

As with cp:
  A new file is created with the mode of the source, less the umask. An
  existing file keeps its mode. --preserve keeps the exact mode, the times and,
  if this user may set it, the owner. Holes stay holes. If <dest> is a
  directory, the copy goes into it under the name of the source.
${MEANS}
  A regular file is read with Direct I/O too, ${DEFAULT_READ_AHEAD} reads of ${READ_BUFFER} ahead.
${DURABILITY}
${JSON_TEXT}`;

const READ = `
Examples:
  dma read backup.tar | tar x
  dma read disk.img | sha256sum

The file is read with Direct I/O: the bytes come from the disk, and no other
data is evicted from the page cache. --direct require fails if the file system
has no Direct I/O.`;

const DOCTOR = `
Examples:
  dma doctor              this machine, and the current directory
  dma doctor /mnt/data    a directory: a temporary file is written and read back
  dma doctor disk.img     a file: its beginning is read
  dma doctor --json | jq -r .verdict

The first line is the verdict: "Works", "Works, slower", or "Does not work".
Then come the findings, each with its remedy, and the facts.

Exit code 0 means that files can be written in the directory, or that the file
can be read. Exit code 1 means that they cannot.`;

const BENCH = `
Examples:
  dma bench                       the file system of the current directory
  dma bench --seconds 60 /mnt     for figures to rely on
  dma bench --size 2G --json .    with files of a given size, for a program

What is measured:
  write   64 KiB chunks through pipeTo until they are durable: this module with
          its defaults (${DEFAULT_WRITE_BEHIND} × ${BUFFER}), and Deno's FsFile.writable + syncData
  read    a whole file with for await: this module, and FsFile.readable. The
          file was written with Direct I/O and is not in the page cache
  The sides take turns, and the order changes from round to round. The table
  shows median, extremes and CPU time of this process per GiB. The line below it
  has the ratio of both rates in the same round: median and extremes.

The files are in a hidden directory, which is removed at the end, also after
Ctrl-C. Without --size they take at most a quarter of the free space.`;

const COMPLETION = `
Examples:
  source <(dma completion bash)    in ~/.bashrc
  source <(dma completion zsh)     in ~/.zshrc, after compinit
  dma completion fish > ~/.config/fish/completions/dma.fish

The script completes commands, options, their values, and file names. It is
self-contained: pressing Tab does not start Deno.`;

const TEXTS: Record<string, string> = {
  "": TOP,
  write: WRITE,
  copy: COPY,
  read: READ,
  doctor: DOCTOR,
  bench: BENCH,
  completion: COMPLETION,
};

/** The text below the options of a command; "" is the command line itself. Headings are bold. */
export function helpText(command: string): string {
  return (TEXTS[command] ?? "").replace(
    /^[A-Z][^\n]*:$|^Permissions/gm,
    (title) => styled(title, "bold"),
  );
}
