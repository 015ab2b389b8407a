// The exit codes in one place: scripts depend on them, and the help text prints them.

/** Signals after which a transfer keeps its bytes, with the exit code that a shell reports for each. */
export const STOPPING_SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** One of these signals. */
export type StoppingSignal = keyof typeof STOPPING_SIGNALS;

/** Success: the close of the file resolved. */
export const EXIT_OK = 0;
/** Reading, writing, syncing or closing failed. */
export const EXIT_IO_ERROR = 1;
/** The arguments were wrong; no file was touched. */
export const EXIT_USAGE = 2;

/** The section of the help text. */
export const EXIT_CODES_HELP = `
Exit codes:
  0    done: the file was closed without an error
  1    reading, writing or verifying failed; doctor: does not work
  2    wrong arguments; no file was touched
  129  stopped by SIGHUP (nohup does not prevent it, setsid does)
  130  stopped by SIGINT (Ctrl-C); after 300 ms a second one ends dma at once
  143  stopped by SIGTERM`;
