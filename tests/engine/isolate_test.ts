// Only isolates that end with the process may pass their own memory to an operation: the memory of an isolate that is terminated
// first would be freed and reused while the kernel has it.

import { assertEquals } from "@std/assert";
import { DmaFile, ioStats } from "../../mod.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";

const configure = JSON.stringify(new URL("../../src/configure.ts", import.meta.url).href);
const imports = `import { useEngine } from ${configure};`;
const tell = `console.log("told", useEngine().endsWithProcess);`;
const whole = imports + tell;
const asUrl = JSON.stringify(`data:text/javascript,${encodeURIComponent(whole)}`);

/** The output of a program, started by `deno` with these arguments and some arguments of the program. */
async function told(args: string[], program: string, own: string[]): Promise<string | undefined> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/program_test.ts`;
  await Deno.writeTextFile(path, program);
  await using child = new Deno.Command(Deno.execPath(), {
    args: [...args, "-A", "--no-check", path, ...own],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    // A program with --watch never ends by itself.
    if (/told .*\n/.test(output)) break;
  }
  await Deno.remove(directory, { recursive: true });
  return /told (\S+)/.exec(output)?.[1];
}

const programs: [
  name: string,
  args: string[],
  program: string,
  endsWithProcess: boolean,
  own?: string[],
][] = [
  ["a program", ["run"], whole, true],
  ["a program that has an option --watch itself", ["run"], whole, true, ["watch", "--watch"]],
  ["a program that is watched, with arguments", ["run", "--watch"], whole, false, ["a", "b", "c"]],
  ["a program that is watched", ["run", "--watch"], whole, false],
  ["a program whose modules are replaced", ["run", "--unstable-hmr"], whole, false],
  ["a program of deno watch", ["watch"], whole, false],
  ["a Worker", ["run"], `new Worker(${asUrl}, { type: "module" });`, false],
  [
    "a Worker of Node",
    ["run"],
    `import { Worker } from "node:worker_threads"; new Worker(new URL(${asUrl}));`,
    false,
  ],
  ["a test", ["test"], `${imports} Deno.test("a test", () => { ${tell} });`, false],
  ["a benchmark", ["bench"], `${whole} Deno.bench("a bench", { n: 1 }, () => {});`, false],
];

for (const [name, args, program, endsWithProcess, own = []] of programs) {
  const may = endsWithProcess ? "may" : "may not";
  Deno.test(`The kernel ${may} have the memory of ${name}`, async () => {
    assertEquals(await told(args, program, own), String(endsWithProcess));
  });
}

/** Calls that take the caller's own memory straight to the kernel. */
const calls: Record<string, (file: DmaFile) => Promise<unknown>> = {
  writeAt: (file) => file.writeAt(file.allocBuffer(8192), 0),
  readInto: (file) => file.readInto(file.allocBuffer(8192), 0),
};

for (const [name, call] of Object.entries(calls)) {
  testInOneDirectory(`${name} copies where the isolate may end first`, async (dir) => {
    await using file = await DmaFile.create(dir.file("file"));
    await file.writeAt(new Uint8Array(8192), 0);
    const copied: boolean[] = [];
    const note = ({ pass }: { pass: () => void }) => {
      copied.push(ioStats().poolBuffers > 0);
      pass();
    };
    using _reads = interpose("read", note);
    using _writes = interpose("write", note);
    // The control: an isolate that ends with the process copies nothing.
    await call(file);
    Object.assign(engine, { endsWithProcess: false });
    await call(file).finally(() => Object.assign(engine, { endsWithProcess: true }));
    assertEquals(copied, [false, true]);
  });
}
