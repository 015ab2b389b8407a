// The end of an isolate whose thread goes on, as when `deno run --watch` starts anew: nothing stays behind, and nothing
// that is done afterwards touches what was given back.

import { assert, assertEquals } from "@std/assert";
import { assertFile } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";

/** The program is taken for one that `deno run --watch` starts anew. */
const watched = { shell: 'set -- "$@" --watch' };

const holdings = `
  const held = () => {
    let count = 0;
    for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
      try {
        const target = Deno.readLinkSync("/proc/self/fd/" + name);
        if (target.includes("io_uring") || target.startsWith(directory)) count++;
      } catch { /* The listing itself. */ }
    }
    return count;
  };
`;

testInOneDirectory(
  "At unload everything is given back, and later calls do no harm",
  async (dir) => {
    const { code, output } = await runChild(
      `
    const directory = ${JSON.stringify(dir.path)};
    ${holdings}
    const before = held();
    const file = await dma.DmaFile.create(directory + "/file");
    const writer = new dma.DmaStreamWriter(file);
    await writer.write(new Uint8Array(3_000_001));
    await writer.sync();
    const other = await dma.DmaFile.create(directory + "/other");
    await other.writeAt(other.allocBuffer(4096), 0);
    const reader = other.readable.getReader();
    const { value } = await reader.read();
    console.log("read", value.length);
    do {
      await new Promise((resolve) => setTimeout(resolve, 1));
    } while (dma.ioStats().inFlight > 0);
    // What came last is looked at by now, as it is when an isolate ends.
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (dma.ioStats().inFlight > 0) throw new Error("It never rests");
    dispatchEvent(new Event("unload"));
    console.log("held", held() - before);
    const calls = [
      () => writer.write(new Uint8Array(9_000_000)),
      () => writer.sync({ tail: true }),
      () => other.readAt(0, 4096),
      () => other.writeAt(new Uint8Array(4096), 0),
      () => other.stat(),
      () => reader.read(),
      () => dma.DmaFile.create(directory + "/third"),
      () => writer.close(),
    ];
    let settled = 0;
    for (const call of calls) {
      try {
        call().then(() => settled++, () => {});
      } catch { /* No more than that. */ }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    console.log("done", settled, dma.ioStats().inFlight);
  `,
      watched,
    );
    assertEquals(code, 0, output);
    assertEquals(output.trim().split("\n"), ["read 4096", "held 0", "done 0 0"]);
  },
);

testInOneDirectory("At unload nothing is taken from operations in flight", async (dir) => {
  const { code, output } = await runChild(
    `
    const directory = ${JSON.stringify(dir.path)};
    const file = await dma.DmaFile.create(directory + "/file");
    const buffer = file.allocBuffer(1 << 20);
    buffer.bytes.set(new Uint8Array(1 << 20).map((_, index) => index));
    const written = file.writeAt(buffer, 0);
    dispatchEvent(new Event("unload"));
    console.log(await written);
    await file.close();
  `,
    watched,
  );
  assertEquals(code, 0, output);
  assertEquals(output.trim(), String(1 << 20));
  await assertFile(dir.file("file"), new Uint8Array(1 << 20).map((_, index) => index));
});

testInOneDirectory("A program that is watched holds as much after each start", async (dir) => {
  const program = dir.file("program.ts");
  const text = `
    import { DmaFile } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
    const directory = ${JSON.stringify(dir.path)};
    ${holdings}
    const file = await DmaFile.create(directory + "/file");
    await new Blob([new Uint8Array(3_000_000)]).stream().pipeTo(file.writable);
    const log = await DmaFile.create(directory + "/log");
    await log.sync();
    console.log(held());
    setInterval(() => {}, 1000);
  `;
  await Deno.writeTextFile(program, text);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--watch", "--no-clear-screen", program],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const seen: string[] = [];
  try {
    for await (const line of child.stdout.pipeThrough(new TextDecoderStream())) {
      seen.push(...line.trim().split("\n"));
      if (seen.length === 4) break;
      await Deno.writeTextFile(program, `${text}// ${seen.length}\n`);
    }
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  assert(Number(seen[0]) > 0);
  assertEquals(seen, Array(4).fill(seen[0]));
});

testInOneDirectory(
  "At unload no descriptor is closed twice: its number is another's by then",
  async (dir) => {
    await Deno.writeTextFile(dir.file("other"), "other's");
    const { code, output } = await runChild(
      `
    const directory = ${JSON.stringify(dir.path)};
    const file = await dma.DmaFile.create(directory + "/file");
    // On a thread: the call that waits for completions is still there when this one is over.
    await file.lock();
    dispatchEvent(new Event("unload"));
    const others = Array.from({ length: 20 }, () => Deno.openSync(directory + "/other"));
    file.close().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    const bytes = new Uint8Array(7);
    for (const other of others) other.readSync(bytes);
    console.log(new TextDecoder().decode(bytes));
  `,
      watched,
    );
    assertEquals([code, output.trim()], [0, "other's"]);
  },
);
