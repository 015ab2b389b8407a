// Programs that end without closing their files: what was given to a writer is in the file, and its length is exact.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { O_DIRECTORY, O_TMPFILE } from "../../src/engine/linux.ts";
import { engines } from "../faults/machine.ts";
import { urlOf } from "../setup/command.ts";
import { assertFile, filled, joined, namesIn } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import "../support/engine.ts";

const LENGTH = 10_000_000;
const node = urlOf("node.ts");

/** What every program has besides `path`: sevens are written to a new file by `writer`, or by `write(writer)`. */
const prelude = `
  // A busy disk takes longer than the default.
  dma.configure({ exitTimeout: 60_000 });
  const chunk = new Uint8Array(100_000).fill(7);
  const write = async (writer, awaited = true) => {
    for (let at = 0; at < ${LENGTH}; at += chunk.length) {
      const written = writer.write(chunk);
      if (awaited) await written;
    }
  };
  const create = async (name, options) => (await dma.DmaFile.create(name, options)).writable;
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const { default: process } = await import("node:process");
  const { engineAtWork } = await import("${urlOf("src/configure.ts")}");
  const interpose = (replace) => {
    const engine = engineAtWork();
    const submit = engine.submit.bind(engine);
    engine.submit = (operation, completion) => replace(operation, completion, submit);
  };
`;

interface Program {
  readonly code: string;
  /** What is in the file before. */
  readonly before?: Uint8Array;
  /** The exit code. */
  readonly exit?: number;
  /** What the program prints; if it fails, a part of that. */
  readonly output?: string;
  /** What is in the file afterwards; default what `write` writes. */
  readonly after?: Uint8Array;
}

/** Registers a test of programs, each run on each engine, side by side, with a folder of its own. */
function testPrograms(name: string, ...programs: Program[]): void {
  testDirectAndCached(name, async (dir) => {
    await Promise.all(engines.flatMap((engine) =>
      programs.map(async (program, index) => {
        const { code, before, exit = 0, output = "", after = filled(LENGTH, 7) } = program;
        const folder = dir.file(`${engine} ${index}`);
        const path = `${folder}/file`;
        await Deno.mkdir(folder);
        if (before) await Deno.writeFile(path, before);
        const options = { env: { DMA_ENGINE: engine }, values: { path } };
        const result = await runChild(prelude + code, options);
        assertEquals(result.code, exit, result.output);
        if (exit === 0) assertEquals(result.output, output);
        else assertStringIncludes(result.output, output);
        await assertFile(path, after, code);
        assertEquals(await namesIn(folder), ["file"]);
      })
    ));
  }, { bothEngines: false });
}

/** How a program ends, and with which code. */
const ends: [name: string, code: string, exit: number][] = [
  ["by coming to its end", "", 0],
  ["by Deno.exit", "Deno.exit(3);", 3],
  ["by process.exit", "process.exit(4);", 4],
  ["during a write at a position", "writer.file.writeAt(chunk.slice(0, 4096), 0); Deno.exit();", 0],
  [
    "during a write of another handle",
    `const other = await dma.DmaFile.open(path, { write: true });
    other.writeAt(chunk.slice(0, 4096), 0);
    Deno.exit();`,
    0,
  ],
  ["with an error", "throw Error();", 1],
  ["with an error in a timer", "setTimeout(() => { throw Error(); }); await pause(1e6);", 1],
  ["with a rejection", "Promise.reject(Error());", 1],
  ["with an error in a completion", 'engineAtWork().submit({ op: "sync", fd: -1 }, {});', 1],
  // The code that operations have after `unload`.
  ["with a rejection of EBADFD", "Promise.reject(Object.assign(Error(), { code: 'EBADFD' }));", 1],
];

/** Deno frees the memory of the isolate after an error, and before the process ends. */
const reads = `const file = await writer.seal();
  const told = () => console.log("in flight:", dma.ioStats().inFlight);
  for (const event of ["error", "unhandledrejection"]) addEventListener(event, told);
  file.readInto(file.allocBuffer(8 << 20), 0);`;

for (const [name, code, exit] of ends) {
  const start = "const writer = await create(path);";
  const inFlight = { code: `${start} await write(writer); ${reads} ${code}`, exit };
  testPrograms(
    `A program that ends ${name} loses nothing`,
    { code: `${start} await write(writer); ${code}`, exit },
    { code: `${start} write(writer, false); ${code}`, exit },
    ...exit === 1 ? [{ ...inFlight, output: "in flight: 0" }] : [],
  );
}

testPrograms("A program that ends while no file can have the reserved length cuts its file", {
  code: `const options = { position: 1000, sizeHint: Number.MAX_SAFE_INTEGER };
  write(new dma.DmaStreamWriter(await dma.DmaFile.create(path), options), false);
  Deno.exit();`,
  after: joined(filled(1000, 0), filled(LENGTH, 7)),
});

testPrograms("A worker of Node that comes to its end loses nothing", {
  code: `const program = \`import { DmaFile } from "${urlOf("mod.ts")}";
      const writer = (await DmaFile.create(\${JSON.stringify(path)})).writable;
      await writer.write(new Uint8Array(${LENGTH}).fill(7));\`;
    const { Worker } = await import("node:worker_threads");
    new Worker(new URL("data:text/javascript," + encodeURIComponent(program)));`,
});

const corks = `const { toNodeWritable } = await import(${JSON.stringify(node)});
  const file = await dma.DmaFile.create(path);
  const out = toNodeWritable(new dma.DmaStreamWriter(file, { bufferSize: 4096 }));
  out.cork();
  write(out);
  await pause(20);`;

testPrograms(
  "A program that ends loses nothing that a stream of Node's has corked",
  { code: `${corks} Deno.exit();` },
  // Who is told that the chunks are taken may write another one.
  { code: `${corks} out.once("drain", () => out.write(chunk));`, after: filled(10_100_000, 7) },
);

/** Programs that end in two ways, after the same code. */
function twice(program: Program, first = "", second = "Deno.exit();"): Program[] {
  return [first, second].map((end) => ({ ...program, code: program.code + end }));
}

testPrograms(
  "Atomic files that nobody closed vanish with the program",
  ...twice({
    before: filled(10, 1),
    code: `await write(await create(path, { atomic: true }));
    const other = await dma.DmaFile.create(path + "2", { atomic: true });
    await other.writeAt(new Uint8Array(4096), 0);`,
    after: filled(10, 1),
  }),
  ...[
    // One that is being published leaves no temporary name, even if the link comes after its removal.
    `const writer = await create(path, { atomic: true });
    const engine = engineAtWork();
    const runNow = engine.runNow.bind(engine);
    interpose((operation, completion, submit) => {
      const link = () => submit(operation, completion);
      if (operation.op !== "link" || operation.name === "file") return link();
      engine.runNow = (removal) => {
        engine.runNow = runNow;
        const result = runNow(removal);
        link();
        engine.flush();
        return result;
      };
      Deno.exit();
    });
    await writer.close();`,
    // Nor does one that is being created.
    `await (await dma.DmaFile.open(path)).close();
    interpose((operation, completion, submit) => {
      if (operation.flags & ${O_TMPFILE & ~O_DIRECTORY}) return completion.complete(-95);
      submit(operation, completion);
      if (operation.name?.startsWith(".file")) engineAtWork().flush(), Deno.exit();
    });
    await create(path, { atomic: true });`,
  ].map((code) => ({ code, before: filled(10, 1), after: filled(10, 1) })),
);

testPrograms("A program that handles an error continues", {
  code: `addEventListener("unhandledrejection", (event) => event.preventDefault());
  const writers = [await create(path), await create(path + "2", { atomic: true })];
  for (const writer of writers) await write(writer);
  Promise.reject(Error());
  await pause(20);
  console.log((await Deno.stat(path)).size);
  await write(writers[0]);
  for (const writer of writers) await writer.close();
  console.log((await Deno.stat(path + "2")).size);
  await Deno.remove(path + "2");`,
  output: `${LENGTH}\n${LENGTH}`,
  after: filled(2 * LENGTH, 7),
});

/** A program whose handler writes another chunk. */
const handles = (late: string) =>
  `const writer = await create(path);
  await write(writer);
  const late = () => {
    ${late}
  };`;

testPrograms(
  "What an exit handler writes and flushes is in the file",
  ...twice(
    {
      code: handles(`writer.write(chunk);
        writer.flushSync();
        console.log(writer.currentFlushedPos);`),
      output: String(LENGTH + 100_000),
      after: filled(LENGTH + 100_000, 7),
    },
    'addEventListener("unload", late); Deno.exit();',
    'process.on("exit", late).exit();',
  ),
);

testPrograms(
  "A handler that writes when the event loop has run empty is told that the file is closed",
  ...twice(
    {
      code: handles(`writer.flushSync();
        writer.write(chunk).catch(() => {});
        try {
          writer.flushSync();
        } catch (error) {
          console.log(error.message.replace(path, "log"));
        }`),
      output: "Cannot write to 'log': its stream is closed",
    },
    'addEventListener("unload", late);',
    'process.on("exit", late);',
  ),
);

testPrograms("A writer can be closed, but not sealed, when the event loop has run empty", {
  code: `const writer = await create(path);
  await write(writer);
  process.once("beforeExit", () => writer.seal().then(console.log, () => writer.close()));`,
});

const lost = { exit: 3, output: "file' does not have everything" };
testPrograms("A warning names the file that lacks something", {
  // Nothing is written in time.
  code: `dma.configure({ exitTimeout: 0 });
  const writer = await create(path);
  interpose(() => {});
  write(writer, false);
  Deno.exit(3);`,
  after: new Uint8Array(),
  ...lost,
}, {
  // The writer ends within the wait that follows the refusal of its last chunk.
  code: `addEventListener("unload", () => writer.write(chunk).catch(() => {}));
  const writer = new dma.DmaStreamWriter(await dma.DmaFile.create(path), { syncOnClose: false });
  await writer.write(chunk.subarray(0, 4096));
  addEventListener("beforeunload", () => queueMicrotask(Deno.exit.bind(null, 3)));`,
  after: filled(4096, 7),
  ...lost,
});

// The writer fails at `await fail()`, after all of its chunks were accepted.
const fails = `const writer = await create(path);
  const { promise: failing, resolve } = Promise.withResolvers();
  interpose((operation, completion, submit) => {
    if (operation.op !== "write") submit(operation, completion);
    else failing.then(() => completion.complete(-28));
  });
  const fail = () => (resolve(), pause(1));
  for (let index = 0; index < 20; index++) await writer.write(chunk);`;
const after = new Uint8Array();

testPrograms(
  "The end of a program reports a failure that nobody was told of",
  { code: `${fails} await fail();`, exit: 1, output: "No space left on device", after },
  { code: `${fails} console.log(writer.getWriter()); await fail();`, exit: 1, after },
  { code: `${fails} await fail(); Deno.exit(3);`, exit: 3, output: "Warning: '", after },
);

testPrograms(
  "The end of a program does not report a failure again",
  ...[
    "await fail(); await writer.close().catch(() => {});",
    "await fail(); await writer.abort();",
    "await fail(); await writer.file.close();",
    "writer.closed.catch(() => {}); await fail();",
    "writer.getWriter().closed.catch(() => {}); await fail();",
    "await fail(); try { writer.flushSync(); } catch { /* Told. */ }",
  ].map((code) => ({ code: fails + code, after })),
  // Nor does it warn of a writer that was given up just before.
  ...["writer.abort();", "writer.file.close();"].map((code) => ({
    code: `const writer = await create(path); await writer.write(chunk); ${code} Deno.exit();`,
    after,
  })),
);
