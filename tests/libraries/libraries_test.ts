// A library of Node.js that writes to files of this module. If it is not available, its test is counted as skipped.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { say } from "../setup/command.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";

const PINO = "npm:pino@10.4.0";
const failure = await import(PINO).then(() => undefined, (error: Error) => error);
// A package that exists and fails is a failure.
if (failure && !/^Failed loading .* for package /.test(failure.message)) throw failure;
if (failure) say(`Skipped for want of ${PINO}: ${failure.message.split("\n")[0]}`);
const needs = { ignore: !!failure, bothEngines: false };

const TEXTS = Array.from({ length: 5000 }, (_, n) => `line ${n} ${"ä".repeat(n % 50)}`);
const LOG = TEXTS.map((text) => `{"level":30,"msg":"${text}"}\n`).join("");

const CREATE = "create(path)";
const APPEND = "open(path, { append: true, create: true })";
const END = "out.end(); await finished(out); process.exit(3);";
const EXIT = "process.on('exit', () => writer.flushSync({ durable: true })); process.exit(3);";
const KILL = "Deno.kill(Deno.pid, 'SIGKILL'); await new Promise(() => {});";
const FATAL = `{"level":60,"msg":"The end"}\n`;

/** How the file is opened, how the program ends after the last line, and what the file has then. */
const endings: [open: string, ending: string, left: string][] = [
  [CREATE, END, LOG],
  [CREATE, EXIT, LOG],
  [APPEND, `writer.flushSync(); ${KILL}`, LOG],
  // The control.
  [APPEND, KILL, ""],
  // pino calls flushSync() for a fatal line.
  [APPEND, `logger.fatal("The end"); ${KILL}`, LOG + FATAL],
];

testInOneDirectory("pino loses no line, however the program ends", async (dir) => {
  for (const [index, [open, ending, left]] of endings.entries()) {
    const path = dir.file(`${index}.log`);
    const { code, output } = await runChild(
      `import { finished } from "node:stream/promises";
      import process from "node:process";
      const { toNodeWritable } = await import("${new URL("../../node.ts", import.meta.url)}");
      const { default: pino } = await import("${PINO}");
      const { writable: writer } = await dma.DmaFile.${open};
      const out = toNodeWritable(writer);
      const logger = pino({ base: null, timestamp: false }, out);
      for (const text of texts) logger.info(text);
      ${ending}`,
      { values: { path, texts: TEXTS } },
    );
    assertEquals(code, ending.includes(KILL) ? 137 : 3, output);
    const found = await Deno.readTextFile(path);
    assert(found === left, `${ending} ${found.length} characters instead of ${left.length}`);
  }
}, needs);
