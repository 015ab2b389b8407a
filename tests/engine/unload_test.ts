// The end of an isolate whose thread continues, as when `deno run --watch` restarts: no resource remains, and no later
// call uses a released one. A test that calls Deno.exit continues after it.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lines, run, start, urlOf } from "../setup/command.ts";
import { assertFile, filled } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";

const imports = `import { DmaFile } from "${urlOf("mod.ts")}";`;

/** The globals of the programs. The other files get the numbers of closed descriptors, and must not be touched. */
const prelude = (directory: string) => `
  import { pause } from "${urlOf("tests/setup/command.ts")}";
  import { openTargets } from "${urlOf("tests/support/leaks.ts")}";
  const directory = ${JSON.stringify(directory)};
  const isHeld = (target) => target.includes("io_uring") || target.startsWith(directory);
  const held = () => openTargets().filter(isHeld).length;
  const other = directory + "/other";
  Deno.writeTextFileSync(other, "other's");
  const openOthers = () => [...Array(20)].map(() => Deno.openSync(other, { read: true, write: true }));
  const assertUntouched = (others) => {
    for (const file of others) if (file.readSync(new Uint8Array(8)) !== 7) throw new Error(other);
  };
`;

/** Registers a test of a program that looks like one under `deno run --watch`, and must print `expected`. */
function unloadTest(
  name: string,
  program: string,
  expected: string,
  check: (path: string) => Promise<void> = async () => {},
): void {
  testInOneDirectory(name, async (dir) => {
    const options = { shell: 'set -- "$@" --watch' };
    // Arguments that are not the program's are Deno's.
    const code = `Deno.args.push("x", "y"); ${prelude(dir.path)} ${program}`;
    const { code: status, output } = await runChild(code, options);
    assertEquals([status, output], [0, expected]);
    await check(dir.file("file"));
  });
}

unloadTest(
  "At unload everything is given back, and later calls reject",
  `
    const before = held();
    const file = await dma.DmaFile.create(directory + "/file");
    const writer = new dma.DmaStreamWriter(file);
    await writer.write(new Uint8Array(3_000_001));
    await writer.sync();
    const old = await dma.DmaFile.create(directory + "/old");
    await old.writeAt(old.allocBuffer(3 << 20), 0);
    // It has read ahead.
    const reader = old.readable.getReader();
    await reader.read();
    do await pause(1); while (dma.ioStats().inFlight > 0);
    // The last event has been handled, as at the end of an isolate.
    await pause(1);
    dispatchEvent(new Event("unload"));
    console.log("held", held() - before);
    // So many that a running engine would register their memory with its ring.
    for (let call = 0; call < 20_000; call++) await old.stat().catch(() => {});
    const later = await dma.DmaFile.create(directory + "/later");
    await later.writeAt(later.allocBuffer(4096), 0);
    const others = openOthers();
    const calls = await Promise.allSettled([
      later.copyRangeTo(old, 0, 4096, 0),
      writer.write(new Uint8Array(9_000_000)),
      writer.sync({ tail: true }),
      writer.close(),
      old.readAt(0, 4096),
      old.writeAt(new Uint8Array(4096), 0),
      old.stat(),
      old.lock(),
      reader.read(),
      old.close(),
    ]);
    console.log(...new Set(calls.map(({ reason }) => reason?.code)), dma.ioStats().inFlight);
    assertUntouched(others);`,
  "held 0\nEBADFD 0",
);

unloadTest(
  "An unload does not wait for a close that is about to begin",
  `
    let longest = 0;
    for (let microtasks = 0; microtasks < 40; microtasks++) {
      const file = await dma.DmaFile.open(other);
      file.close().catch(() => {});
      for (let count = 0; count < microtasks; count++) await undefined;
      const began = performance.now();
      dispatchEvent(new Event("unload"));
      longest = Math.max(longest, performance.now() - began);
    }
    console.log(longest < 3000 || longest, held());`,
  "true 0",
);

async function runTests(dir: TestDirectory, tests: string, failures = 0): Promise<string> {
  const path = dir.file("program_test.ts");
  await Deno.writeTextFile(path, `${imports} ${prelude(dir.path)} ${tests}`);
  const { output } = await run(Deno.execPath(), ["test", "-A", "--no-check", path]);
  assertStringIncludes(output, ` passed | ${failures} failed`);
  return output;
}

testInOneDirectory("A test that calls Deno.exit can open files after it", async (dir) => {
  const output = await runTests(
    dir,
    `let lost;
    Deno.test("exits", async () => {
      const eventfds = () => openTargets().filter((target) => target.includes("eventfd")).length;
      const open = (await DmaFile.create(directory + "/open")).writable;
      const before = eventfds();
      open.write(new Uint8Array(3_000_001));
      try {
        Deno.exit(0);
      } catch { /* The test runner throws. */ }
      const file = await DmaFile.create(directory + "/after");
      await new Blob(["after"]).stream().pipeTo(file.writable);
      lost = before - eventfds();
    });
    Deno.test("goes on", async () => {
      const file = await DmaFile.open(directory + "/after");
      console.log(await new Response(file.readable).text(), lost);
    });
    Deno.test("leaves a writer open", async () => {
      const { writable } = await DmaFile.create(directory + "/left");
      writable.write(new Uint8Array(100));
    });`,
  );
  assertStringIncludes(output, "\nafter 0\n");
  assertEquals((await Deno.stat(dir.file("open"))).size, 3_000_001);
});

testInOneDirectory("Tests fail if a writer that they leave open loses its bytes", async (dir) => {
  const tests = `Deno.test("leaves a writer open", async () => {
      const { engineAtWork } = await import("${urlOf("src/configure.ts")}");
      await (await DmaFile.create(directory + "/file")).writable.write(new Uint8Array(100));
      engineAtWork().submit = (_, completion) => completion.complete(-28);
    });`;
  assertStringIncludes(await runTests(dir, tests, 1), "No space left on device");
});

testInOneDirectory("Tests that use files leave nothing to Deno's sanitizers", async (dir) => {
  // A thread waits for completions until there were 400 wake-ups.
  const output = await runTests(
    dir,
    `for (let count = 0; count < 200; count++) {
      Deno.test("test " + count, async () => {
        await Promise.all(Array.from({ length: 20 }, async (_, index) => {
          const { writable } = await DmaFile.create(directory + "/" + index);
          await writable.write(new Uint8Array(5000));
          await writable.close();
        }));
      });
    }`,
  );
  assertStringIncludes(output, "200 passed");
});

for (const exitTimeout of [5000, 0]) {
  const what = exitTimeout ? "is waited for" : "keeps its memory if it takes too long";
  unloadTest(
    `At unload an operation in flight ${what}`,
    `
    dma.configure({ exitTimeout: ${exitTimeout} });
    const before = held();
    const file = await dma.DmaFile.create(directory + "/file");
    const buffer = file.allocBuffer(1 << 20);
    buffer.bytes.fill(7);
    const calls = [file.writeAt(buffer, 0), file.stat()];
    dispatchEvent(new Event("unload"));
    console.log(held() > before);
    // Two engines would have one record of their memory and descriptors.
    console.log(await dma.DmaFile.temp().then((file) => file.close(), ({ code }) => code));
    console.log(await calls[0], (await calls[1]).isFile);
    await pause(50);
    dispatchEvent(new Event("unload"));
    console.log(held() - before);`,
    `${exitTimeout === 0 ? "true\nEBADFD" : "false\nundefined"}\n${1 << 20} true\n0`,
    (path) => assertFile(path, filled(1 << 20, 7)),
  );
}

unloadTest(
  "At unload no descriptor is closed twice: its number is another's by then",
  `
    const file = await dma.DmaFile.create(directory + "/file");
    // On a thread the call that waits for completions still runs when this one has ended.
    await file.lock();
    dispatchEvent(new Event("unload"));
    const others = openOthers();
    file.close().catch(() => {});
    await pause(50);
    assertUntouched(others);`,
  "",
);

unloadTest(
  "An open that unload cuts short sets no flags: the descriptor's number is another's by then",
  `
    const { KernelEngine } = await import("${urlOf("src/engine/kernel_engine.ts")}");
    let others;
    const { setFlags } = KernelEngine.prototype;
    KernelEngine.prototype.setFlags = function (...flags) {
      dispatchEvent(new Event("unload"));
      others ??= openOthers();
      return setFlags.apply(this, flags);
    };
    console.log(await dma.DmaFile.create(directory + "/file").catch(({ code }) => code));
    // With O_DIRECT, 8 bytes cannot be read.
    assertUntouched(others);`,
  "EBADFD",
);

testInOneDirectory("A program that is watched holds as much after each start", async (dir) => {
  const program = dir.file("program.ts");
  const text = `${imports} ${prelude(dir.path)}
    const written = await DmaFile.create(directory + "/file");
    await new Blob([new Uint8Array(3_000_000)]).stream().pipeTo(written.writable);
    const file = await DmaFile.open(directory + "/file");
    const log = await DmaFile.create(directory + "/log");
    await log.sync();
    console.log(held());
    // Something is in flight at each start.
    for (;;) await Promise.all([0, 1, 2, 3].map((block) => file.readAt(4096 * block, 65_536)));
  `;
  await Deno.writeTextFile(program, text);
  const args = ["run", "-A", "--no-check", "--watch", "--no-clear-screen", program];
  await using child = start(Deno.execPath(), args, { stderr: "null" });
  const seen: string[] = [];
  for await (const line of lines(child.stdout)) {
    if (seen.push(line) === 4) break;
    await Deno.writeTextFile(program, `${text}// ${seen.length}\n`);
  }
  assert(Number(seen[0]) > 0);
  assertEquals(new Set(seen).size, 1, seen.join());
});
