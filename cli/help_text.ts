// What --help says beyond the list of options: examples, what the promises mean, permissions. At most 80 columns.
import {
  DEFAULT_BUFFER_SIZE,
  DEFAULT_READ_AHEAD,
  DEFAULT_READ_BUFFER_SIZE,
  DEFAULT_WRITE_BEHIND,
} from "../mod.ts";
import { EXIT_CODES_HELP } from "./exit_codes.ts";
import { styled } from "./styling.ts";
import { formatSize } from "./units.ts";

/** How the command line is run where it was not installed. */
export const RUN = "deno run -A jsr:@denodma/dma/cli";

const BUFFER = formatSize(DEFAULT_BUFFER_SIZE);
const MEMORY = formatSize((DEFAULT_WRITE_BEHIND + 1) * DEFAULT_BUFFER_SIZE);
const READ_BUFFER = formatSize(DEFAULT_READ_BUFFER_SIZE);

const TOP = `
Examples:
  tar c folder | dma write --atomic backup.tar    a backup: whole, or not there
  dma copy disk.img /mnt/disk.img                 past the page cache, durable
  dma bench /mnt                                  how fast that disk is, in 10 s

"dma" stands for ${RUN}
To have it as a command, with completion in bash:
  deno install --global -A --name dma jsr:@denodma/dma/cli
  echo 'source <(dma completion bash)' >> ~/.bashrc
${EXIT_CODES_HELP}

Permissions (-A grants all; Deno's flags go before the name of the program):
  --allow-ffi          always: the kernel is called through it
  --allow-read=PATH    what is read, and what is written
  --allow-write=PATH   what is written; --atomic takes both for its directory
  --allow-env          only for DMA_ENGINE=io_uring or threads
  doctor and bench tell more where they have --allow-all.

dma COMMAND --help says more about one of them.`;

const DURABILITY = `
Durability:
  When dma ends with 0, the data and the length of the file, and the name of a
  new file, are on stable storage: they survive a power cut. With --no-sync they
  are in the file, and a power cut within the next half minute can take them.
  --atomic writes under another name in the same directory and renames at the
  end: whoever opens the path sees the old file or the whole new one, which has
  neither the mode nor the owner of the old.
  Ctrl-C, or an error, leaves a whole prefix of the input in the file, and says
  how long it is; with --atomic it leaves the old file, or none.`;

const MEANS = `
Defaults:
  ${BUFFER} buffers, ${DEFAULT_WRITE_BEHIND} in flight: ${MEMORY} of memory, whatever the length of the input.
  Direct I/O where the file system has it, the page cache where it has not.`;

const JSON_TEXT = `
JSON:
  --json prints one object on standard output at the end, also after a failure:
  ok, bytes, seconds, rate (bytes a second), path, direct, engine, bufferSize,
  writeBehind, synced, atomic, appended, fileSize, signal, error (message, name,
  code, errno, op, path, remedy) and exitCode. "bytes" is how much of the input
  is in the file: after a failure, what was kept.`;

const WRITE = `
Examples:
  tar c folder | dma write --atomic backup.tar
  journalctl -f | dma write --append service.log
  curl -s https://example.com/big.iso | dma write --json big.iso | jq .rate
${MEANS}
${DURABILITY}
${JSON_TEXT}`;

const COPY = `
Examples:
  dma copy disk.img /mnt/backup/disk.img
  dma copy --atomic new.db /srv/app/data.db
  dma copy /dev/sdb usb-stick.img
${MEANS}
  A regular file is read with Direct I/O too, ${DEFAULT_READ_AHEAD} reads of ${READ_BUFFER} ahead.
${DURABILITY}
${JSON_TEXT}`;

const READ = `
Examples:
  dma read backup.tar | tar x
  dma read disk.img | sha256sum

The file is read with Direct I/O: nothing that others use leaves the page cache,
and what comes is what the disk has. --direct require fails where a file system
has no Direct I/O.`;

const DOCTOR = `
Examples:
  dma doctor              this machine, and the current directory
  dma doctor /mnt/data    a directory: a temporary file is written and read back
  dma doctor disk.img     a file: its beginning is read
  dma doctor --json | jq -r .verdict

The first line is the verdict: "Works", "Works, slower", or "Does not work".
Below it stands what is in the way and what would mend it, then the facts.

Ends with 0 where files can be written there (a file: read), with 1 where not.`;

const BENCH = `
Examples:
  dma bench                       the file system of the current directory
  dma bench --seconds 60 /mnt     for figures to rely on
  dma bench --size 2G --json .    with files of a given size, for a program

What is measured:
  write   64 KiB chunks through pipeTo until they are durable: this module with
          its defaults (${DEFAULT_WRITE_BEHIND} × ${BUFFER}), and Deno's FsFile.writable + syncData
  read    a whole file with for await: this module, and FsFile.readable. The
          file was written by Direct I/O, so that it is not in the page cache
  The sides take turns, and the order turns from round to round. Shown are the
  median, the extremes, and the CPU time of this process for a GiB; below, how
  many times as fast this module was in the same round: median and extremes.

The files are in a hidden directory that is removed at the end, also after
Ctrl-C. At most a quarter of the free space is taken unless --size says so.`;

const COMPLETION = `
Examples:
  source <(dma completion bash)    in ~/.bashrc
  source <(dma completion zsh)     in ~/.zshrc, after compinit
  dma completion fish > ~/.config/fish/completions/dma.fish

The script completes commands, options, their values, and file names. It stands
by itself: Deno does not start when Tab is pressed.`;

const TEXTS: Record<string, string> = {
  "": TOP,
  write: WRITE,
  copy: COPY,
  read: READ,
  doctor: DOCTOR,
  bench: BENCH,
  completion: COMPLETION,
};

/** What stands below the options of a command; "" is the command line itself. Headings are bold. */
export function helpText(command: string): string {
  return (TEXTS[command] ?? "").replace(
    /^[A-Z][^\n]*:$|^Permissions/gm,
    (title) => styled(title, "bold"),
  );
}
