// Isolates. Only those that end with the process may pass their own memory to an operation: that of a terminated one
// would be reused while the kernel has it. Objects stay in their isolate, and descriptors in their process.

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { lines, runOrThrow, start, urlOf } from "../setup/command.ts";
import { pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine, watch } from "../support/engine.ts";

const tells = `import { useEngine } from ${JSON.stringify(urlOf("src/configure.ts"))};
  console.log("told", useEngine().endsWithProcess);`;
const asUrl = JSON.stringify(`data:text/javascript,${encodeURIComponent(tells)}`);
const titled = `import process from "node:process"; process.title = "a title"; ${tells}`;
const ofNode = `import { Worker } from "node:worker_threads"; new Worker(new URL(${asUrl}));`;

/** Longer than one read of the command line. */
const longOption = `--location=http://host/${"a".repeat(5000)}`;

/** Programs, the command that starts each with its path, and whether their isolates end with the process. */
const programs: [name: string, program: string, command: string, endsWithProcess: boolean][] = [
  ["a program", tells, "run $", true],
  ["a program that has an option --watch itself", tells, "run $ watch --watch", true],
  ["a program that is watched", tells, `run ${longOption} --watch $ a b c`, false],
  ["a program with a title", titled, "run $ a", true],
  ["a program with a title that is watched", titled, "run --watch $", false],
  ["a program whose modules are replaced", tells, "run --unstable-hmr $", false],
  ["a program of deno watch", tells, "watch $", false],
  ["a Worker", `new Worker(${asUrl}, { type: "module" });`, "run $", false],
  ["a Worker of Node", ofNode, "run $", false],
  ["a test", `${tells} Deno.test("a test", () => {});`, "test $", false],
  ["a benchmark", `${tells} Deno.bench("a bench", { n: 1 }, () => {});`, "bench $", false],
];

for (const [name, program, command, endsWithProcess] of programs) {
  const may = endsWithProcess ? "may" : "may not";
  testInOneDirectory(`The kernel ${may} have the memory of ${name}`, async (dir) => {
    const path = dir.file("program_test.ts");
    await Deno.writeTextFile(path, program);
    const args = command.replace("$", `-A --no-check ${path}`).split(" ");
    await using child = start(Deno.execPath(), args, { stderr: "null" });
    let told: string | undefined;
    for await (const line of lines(child.stdout)) {
      told = /^told (\S+)/.exec(line)?.[1];
      // A program with --watch never ends by itself.
      if (told) break;
    }
    assertEquals(told, String(endsWithProcess));
  });
}

testInOneDirectory("Memory is copied where the isolate may end first", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const copied: boolean[] = [];
  const note = () => void copied.push(ioStats().poolBuffers > 0);
  using _reads = watch("read", note);
  using _writes = watch("write", note);
  // The control is an isolate that ends with the process: it copies nothing.
  for (const endsWithProcess of [false, true]) {
    Object.assign(engine, { endsWithProcess });
    const buffer = file.allocBuffer(8192);
    await file.writeAt(buffer, 0);
    await file.readInto(buffer, 0);
  }
  assertEquals(copied, [true, true, false, false]);
});

testInOneDirectory("Files and buffers are not cloned", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const { port1, port2 } = new MessageChannel();
  for (const [name, object] of Object.entries({ DmaFile: file, DmaBuffer: file.allocBuffer(1) })) {
    for (const clone of [() => structuredClone(object), () => port1.postMessage({ object })]) {
      const error = assertThrows(clone, DOMException, `A ${name} belongs to its isolate`);
      assertEquals(error.name, "DataCloneError");
    }
  }
  port1.close();
  port2.close();
  // An object that only inherits from a file is not one.
  assertThrows(() => new DmaStreamWriter(Object.create(file)), TypeError);
});

testInOneDirectory("A child process inherits no descriptor", async (dir) => {
  const [plain, atomic] = [dir.file("plain"), dir.file("atomic")];
  await using file = await DmaFile.create(plain);
  await using unnamed = await DmaFile.create(atomic, { atomic: true });
  await using appended = await DmaFile.open(dir.file("log"), { append: true, create: true });
  const files = [file, unnamed, appended];
  for (const each of files) await each.writable.write(pattern(100_000));
  const descriptorsAfter = (command: string) =>
    runOrThrow("/bin/sh", ["-c", `${command} for fd in /proc/self/fd/*; do readlink $fd; done; :`]);
  const found = await descriptorsAfter("");
  assert(!found.includes(dir.path) && !/io_uring|eventfd|memfd/.test(found), found);
  // The control: a descriptor that the child opens itself is found.
  assertStringIncludes(await descriptorsAfter(`exec 9<${plain};`), plain);
  for (const each of files) await each.writable.close();
});
