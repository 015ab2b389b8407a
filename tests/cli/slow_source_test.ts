// Bytes of a slow source are soon in the file, and stay there however the transfer ends.
import { eventually } from "../support/descriptors.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { testDirectAndCached, type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engineIsOfNoConcern } from "../support/once.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { openIn, spawn } from "./process.ts";
import { type Ended, endOf, pause, run } from "../setup/command.ts";

/** No engine in the second run of the suite, without io_uring: the first run has tested the threads engine too. */
const ENGINES = engineIsOfNoConcern ? engines : [];

/** A run of the command line whose standard input the test feeds. */
class Fed implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly ran: Promise<Ended>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  private constructor(engine: string, args: string[]) {
    this.child = spawn(args, { env: { DMA_ENGINE: engine } });
    this.ran = endOf(this.child);
    this.#stdin = this.child.stdin.getWriter();
  }

  /** Starts a run that writes to `path`, and waits until it has opened a file there. */
  static async start(path: string, engine = "", ...args: string[]): Promise<Fed> {
    const fed = new Fed(engine, ["write", ...args, path]);
    const directory = path.slice(0, path.lastIndexOf("/"));
    const isOpen = async () => (await openIn(fed.child.pid, directory)).length > 0;
    await eventually(isOpen, "The file was not opened");
    return fed;
  }

  /** Resolves when the process has read the bytes from the pipe and accepted them. */
  async send(input: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    const before = await this.#bytesRead();
    await this.#stdin.write(bytes);
    const isRead = async () => await this.#bytesRead() >= before + bytes.length;
    await eventually(isRead, "The input was not read");
    await pause(100);
  }

  /** Sends the signal of Ctrl-C. */
  async stop(): Promise<Ended> {
    this.child.kill("SIGINT");
    return await this.ran;
  }

  async #bytesRead(): Promise<number> {
    const io = await Deno.readTextFile(`/proc/${this.child.pid}/io`);
    return Number(/^rchar: (\d+)/m.exec(io)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.abort().catch(() => {});
    await this.ran;
  }
}

async function assertWrittenSoon(dir: TestDirectory, engine = "", ...args: string[]) {
  const path = dir.file("service.log");
  let log = "old\n";
  await Deno.writeTextFile(path, log);
  await using fed = await Fed.start(path, engine, "--append", ...args);
  for (const line of ["one\n", "two\n"]) {
    await fed.send(line);
    log += line;
    await eventually(async () => await Deno.readTextFile(path) === log, "The line was not written");
  }
  fed.child.kill("SIGKILL");
  await fed.ran;
  assertEquals(await Deno.readTextFile(path), log);
}

testDirectAndCached("dma write soon has what a pipe sent, also after SIGKILL", (dir) => {
  return assertWrittenSoon(dir, "", "--flush-every", "100ms");
});

for (const engine of ENGINES) {
  testInOneDirectory(`dma write has what a pipe sent a second later, on ${engine}`, (dir) => {
    return assertWrittenSoon(dir, engine);
  });

  const keeps = `dma write --append keeps every line of a slow pipe on SIGINT, on ${engine}`;
  testDirectAndCached(keeps, async (dir) => {
    const path = dir.file("service.log");
    await Deno.writeTextFile(path, "old\n");
    await using fed = await Fed.start(path, engine, "--append", "--flush-every", "0");
    await fed.send("one\n");
    await fed.send("two\n");
    const { code, stderr } = await fed.stop();
    const said = `dma: stopped by SIGINT; kept the first 8 appended bytes in ${path}\n`;
    assertEquals([code, stderr], [130, said]);
    assertEquals(await Deno.readTextFile(path), "old\none\ntwo\n");
  });
}

testDirectAndCached("dma write keeps all of several buffers on SIGINT", async (dir) => {
  const path = dir.file("out");
  const input = pattern(300_001);
  // A verification that has not begun does not matter.
  for (const more of [[], ["--verify"]]) {
    await using fed = await Fed.start(path, "", "--json", "--buffer-size", "64K", ...more);
    await fed.send(input);
    const { code, stdout } = await fed.stop();
    const { bytes, fileSize, ok, synced } = JSON.parse(stdout);
    assertEquals([code, bytes, fileSize, ok, synced], [130, 300_001, 300_001, false, true]);
    assertEquals(await Deno.readFile(path), input);
  }
});

testInOneDirectory("dma write --direct off shows a follower whole lines only", async (dir) => {
  const path = dir.file("service.log");
  const args = ["--append", "--direct", "off", "--flush-every", "50ms"];
  await using fed = await Fed.start(path, "", ...args);
  let done = false;
  const sending = (async () => {
    for (let line = 0; line < 10; line++) await fed.send(`line ${line}\n`);
  })().finally(() => done = true);
  let longest = 0;
  while (!done) {
    const seen = await Deno.readTextFile(path);
    assertMatch(seen, /^(line \d\n)*$/);
    assert(seen.length >= longest, "The file became shorter");
    longest = seen.length;
  }
  await sending;
  assert(longest > 0);
});

testInOneDirectory("dma write --flush-every sets when the tail is written", async (dir) => {
  const [often, never] = [dir.file("often"), dir.file("never")];
  await using one = await Fed.start(often, "", "--flush-every", "100ms", "--no-sync");
  await using other = await Fed.start(never, "", "--flush-every", "0");
  await Promise.all([one.send("line\n"), other.send("line\n")]);
  const isWritten = async () => (await Deno.readTextFile(often)).startsWith("line\n");
  await eventually(isWritten, "Not written");
  assertEquals((await Deno.stat(never)).size, 0);
});

/** Transfers the parts of a source that then fails. Between the parts there are holes. */
async function transferBroken(path: string, parts: [position: number, ...chunks: string[]][]) {
  const program = `
    import { transfer } from "${new URL("../../cli/transfer.ts", import.meta.url)}";
    async function* streamed(chunks) {
      yield* chunks;
      throw new Error("The source broke");
    }
    const source = {
      async *parts() {
        for (const [position, ...chunks] of [${parts.map((part) => `[${part}]`)}]) {
          const isLast = position === ${parts.at(-1)![0]};
          const readable = ReadableStream.from(isLast ? streamed(chunks) : chunks);
          yield { position, readable, isWhole: false };
        }
      },
      async close() {},
    };
    const options = { direct: "prefer", sync: true, progress: false, json: true, sparse: "auto" };
    Deno.exit(await transfer(async () => source, ${JSON.stringify(path)}, options));
  `;
  const { code, stdout, stderr } = await run(Deno.execPath(), ["eval", "--no-check", program]);
  assertEquals(code, 1, stderr);
  const { bytes, fileSize, holes, synced } = JSON.parse(stdout);
  assertEquals([fileSize, synced], [bytes, true], stderr);
  const kept = `dma: failed; kept the first ${bytes} bytes in ${path}\n`;
  assertEquals(stderr, `dma: The source broke\n${kept}`);
  return { bytes, holes };
}

testInOneDirectory("dma keeps what came before its source failed", async (dir) => {
  const path = dir.file("out");
  const chunks = ["new Uint8Array(70_000).fill(1)", "new Uint8Array(5).fill(2)"];
  const begun = joined(filled(70_000, 1), filled(5, 2));
  assertEquals(await transferBroken(path, [[0, ...chunks]]), { bytes: 70_005, holes: 0 });
  await assertFile(path, begun);
  // It fails before a range that follows a hole.
  const parts = await transferBroken(path, [[0, ...chunks], [1_000_000]]);
  assertEquals(parts, { bytes: 1_000_000, holes: 1_000_000 - 70_005 });
  await assertFile(path, joined(begun, new Uint8Array(1_000_000 - 70_005)));
});

testInOneDirectory("dma write reports that its file was removed", async (dir) => {
  const path = dir.file("out");
  await using fed = await Fed.start(path);
  await fed.send("line\n");
  await Deno.remove(path);
  const { code, stderr } = await fed.stop();
  const kept = `dma: stopped by SIGINT; kept the first 5 bytes in ${path}, but that name is gone\n`;
  assertEquals([code, stderr], [130, kept]);
});

testInOneDirectory("dma write --append counts its own bytes, not those of others", async (dir) => {
  const path = dir.file("service.log");
  await using fed = await Fed.start(path, "", "--append");
  await fed.send("mine\n");
  await eventually(async () => await Deno.readTextFile(path) === "mine\n", "Not written");
  await Deno.writeTextFile(path, "of another program\n", { append: true });
  const { code, stderr } = await fed.stop();
  const kept = `dma: stopped by SIGINT; kept the first 5 appended bytes in ${path}\n`;
  assertEquals([code, stderr], [130, kept]);
});
