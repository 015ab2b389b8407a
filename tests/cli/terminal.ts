// Runs the command line on a terminal, and returns the terminal's output.
import { hasProgram } from "../setup/command.ts";
import { quoted } from "../../cli/remedies.ts";
import { DMA } from "./process.ts";

/** Whether `script` of util-linux is installed, which creates terminals. */
export const hasTerminals: boolean = hasProgram("script");

export interface TerminalOptions {
  columns?: number;
  /** A command whose output is the standard input; by default the terminal, without typed input. */
  input?: string;
  /** A redirection of the output in shell syntax, such as "| cat". */
  after?: string;
  env?: Record<string, string>;
}

/**
 * Runs `args` on a terminal. Resolves to its output with escape sequences, except those by which Deno clears its own
 * line about loading.
 */
export async function onTerminal(args: string[], options: TerminalOptions = {}): Promise<string> {
  const { columns = 80, input, after = "", env = {} } = options;
  const command = [...DMA, ...args].map(quoted).join(" ");
  const line = `stty cols ${columns} rows 24; ${input ? `${input} | ` : ""}${command} ${after}`;
  const { NO_COLOR: _, ...rest } = Deno.env.toObject();
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", line, "/dev/null"],
    clearEnv: true,
    env: { ...rest, SHELL: "/bin/sh", ...env },
    stdin: "null",
    stderr: "inherit",
  }).output();
  // deno-lint-ignore no-control-regex
  return new TextDecoder().decode(stdout).replace(/^(\x1b\[0G\x1b\[2K\x1b\[J)+/, "");
}

/** The lines on the screen after all carriage returns and clearings. */
export function screen(sent: string): string[] {
  // deno-lint-ignore no-control-regex
  const parts = sent.match(/\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]|[^\x1b]/gs) ?? [];
  const lines = [""];
  let column = 0;
  for (const part of parts) {
    const last = lines.at(-1)!;
    if (part === "\n") {
      lines.push("");
      column = 0;
    } else if (part === "\r" || /\[[01]?G$/.test(part)) column = 0;
    else if (/\[2K$/.test(part)) lines[lines.length - 1] = "";
    else if (/\[0?K$/.test(part)) lines[lines.length - 1] = last.slice(0, column);
    else if (!part.startsWith("\x1b")) {
      lines[lines.length - 1] = last.padEnd(column).slice(0, column) + part +
        last.slice(column + part.length);
      column += part.length;
    }
  }
  return lines;
}
