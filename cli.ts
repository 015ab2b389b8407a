// The entry of the command line. An import of this module starts nothing: main() is in cli/.

/**
 * The command line of this package. It streams into files and out of them with Direct I/O, reports what works on a
 * machine, and measures how fast a disk is.
 *
 * ```sh
 * tar c folder | deno run -A jsr:@denodma/dma/cli write --atomic backup.tar
 * deno run -A jsr:@denodma/dma/cli copy --verify disk.img /mnt/disk.img
 * deno run -A jsr:@denodma/dma/cli read disk.img | sha256sum
 * deno run -A jsr:@denodma/dma/cli doctor /mnt
 * deno run -A jsr:@denodma/dma/cli bench /mnt
 * ```
 *
 * `--help` lists all options, also after each command.
 *
 * Exit codes: 0 when the data is whole in the file, 1 after an I/O error, 2 after wrong arguments, 129, 130 and 143 when
 * stopped by SIGHUP, SIGINT and SIGTERM.
 *
 * @module
 */
import { main } from "./cli/program.ts";

export { main };

if (import.meta.main) {
  // With `Deno.exitCode` a pending read of standard input would keep the process alive until the next input.
  Deno.exit(await main(Deno.args));
}
