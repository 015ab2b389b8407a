// Log libraries that write to files of this module: every line is complete and in order, however the program ends.

import "../support/engine.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import { DmaFile } from "../../mod.ts";
import { toNodeWritable } from "../../node.ts";
import { runChild } from "../support/child.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { isAvailable } from "./packages.ts";

const LINES = 5_000;

const pino = "npm:pino@10.4.0";
const winston = "npm:winston@3.19.0";
const available: Record<string, boolean> = {
  [pino]: await isAvailable(pino),
  [winston]: await isAvailable(winston),
};

function test(specifier: string, title: string, fn: (dir: TestDirectory) => Promise<void>): void {
  const ignore = !available[specifier];
  testInOneDirectory(`${specifier}: ${title}`, fn, { ignore, bothEngines: false });
}

/** Lines of a log, as each library writes them with the settings of these tests. */
const text = (index: number) => `line ${index} ${"ä".repeat(index % 50)}`;
const line: Record<string, (index: number) => string> = {
  [pino]: (index) => `{"level":30,"msg":"${text(index)}"}\n`,
  [winston]: (index) => `{"level":"info","message":"${text(index)}"}\n`,
};

/** Throws unless a log has all lines. The error names the first wrong one. */
async function assertLog(path: string, specifier: string, more = ""): Promise<void> {
  const found = (await Deno.readTextFile(path)).split("\n");
  const lines = Array.from({ length: LINES }, (_, index) => line[specifier]!(index));
  const expected = (lines.join("") + more).split("\n");
  const wrong = expected.findIndex((line, index) => line !== found[index]);
  assertEquals([wrong, found[wrong]], [-1, undefined]);
  assertEquals(found.length, expected.length);
}

test(pino, "a stream of Node's has every line when it is finished", async (dir) => {
  const { default: logger } = await import("npm:pino@10.4.0");
  const out = toNodeWritable((await DmaFile.create(dir.file("log"))).writable);
  const info = logger({ base: null, timestamp: false }, out);
  for (let index = 0; index < LINES; index++) {
    info.info(text(index));
    // Another test has a program that only logs and never returns to its event loop.
    if (out.writableNeedDrain) await once(out, "drain");
  }
  out.end();
  await finished(out);
  await assertLog(dir.file("log"), pino);
});

test(winston, "a stream transport has every line when it is finished", async (dir) => {
  const { default: { createLogger, format, transports } } = await import("npm:winston@3.19.0");
  const stream = toNodeWritable((await DmaFile.create(dir.file("log"))).writable);
  const logger = createLogger({
    format: format.json(),
    transports: [new transports.Stream({ stream, eol: "\n" })],
  });
  for (let index = 0; index < LINES; index++) logger.info(text(index));
  logger.end();
  await once(logger, "finish");
  stream.end();
  await finished(stream);
  await assertLog(dir.file("log"), winston);
});

// ---- programs that end while they log ---------------------------------------------------------------------------

/** The logger of a program: writes to the stream `out` of the writer `writer`. */
const loggers: Record<string, string> = {
  [pino]: `const { default: pino } = await import("${pino}");
    const logger = pino({ base: null, timestamp: false }, out);`,
  [winston]: `const { default: winston } = await import("${winston}");
    const logger = winston.createLogger({
      format: winston.format.json(),
      transports: [new winston.transports.Stream({ stream: out, eol: "\\n" })],
    });`,
};

const APPEND = "open(PATH, { append: true, create: true })";
const KILL = "Deno.kill(Deno.pid, 'SIGKILL'); await new Promise(() => {});";

/** Runs a program that logs all lines at once, and then \`end\`. */
async function logAndEnd(dir: TestDirectory, specifier: string, open: string, end: string) {
  return await runChild(
    `import process from "node:process";
    const { toNodeWritable } = await import("${new URL("../../node.ts", import.meta.url)}");
    const writer = (await dma.DmaFile.${open.replace("PATH", `"${dir.file("log")}"`)}).writable;
    const out = toNodeWritable(writer);
    ${loggers[specifier]}
    for (let index = 0; index < ${LINES}; index++) {
      logger.info(\`line \${index} \${"ä".repeat(index % 50)}\`);
    }
    ${end}`,
  );
}

for (const specifier of [pino, winston]) {
  test(specifier, "flushSync() on exit loses no line", async (dir) => {
    const end = `process.on("exit", () => writer.flushSync({ durable: true }));
      process.exit(3);`;
    const ended = await logAndEnd(dir, specifier, "create(PATH)", end);
    assertEquals(ended.code, 3, ended.output);
    await assertLog(dir.file("log"), specifier);
  });

  test(specifier, "what flushSync() wrote outlives a SIGKILL", async (dir) => {
    for (const flush of ["writer.flushSync();", ""]) {
      const ended = await logAndEnd(dir, specifier, APPEND, flush + KILL);
      assertEquals(ended.signal, "SIGKILL", ended.output);
      if (flush) await assertLog(dir.file("log"), specifier);
      else await assertRejects(() => assertLog(dir.file("log"), specifier));
      await Deno.remove(dir.file("log"));
    }
  });
}

test(pino, "a fatal line and all before it are there when the call returns", async (dir) => {
  const ended = await logAndEnd(dir, pino, APPEND, `logger.fatal("The end"); ${KILL}`);
  assertEquals(ended.signal, "SIGKILL", ended.output);
  await assertLog(dir.file("log"), pino, `{"level":60,"msg":"The end"}\n`);
});
