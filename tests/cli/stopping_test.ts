// What a transfer has kept when it ends early: by a signal, by SIGKILL, or because its source failed.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { type Ended, pause, run, runOrThrow } from "../setup/command.ts";
import { assertFile, filled, joined, namesIn, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { engineIsOfNoConcern, testOnce } from "../support/once.ts";
import { dma, Running, testDma } from "./process.ts";

/** Throws unless a run was stopped by SIGINT, and says this of its file. */
function assertStopped({ code, stderr }: Ended, says: string): void {
  assertEquals([code, stderr], [130, `dma: stopped by SIGINT; ${says}\n`]);
}

for (const [signal, exitCode] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGTERM", 143]] as const) {
  testDma(
    `dma write keeps all accepted bytes and ends with ${exitCode} on ${signal}`,
    async (dir) => {
      const path = `${dir}/out`;
      const input = pattern(3_000_001);
      // A verification that has not begun does not matter.
      for (const more of [[], ["--verify"], ["--atomic"]]) {
        await Deno.writeTextFile(path, "old");
        const options = ["--json", "--buffer-size", "64K", ...more];
        await using running = await Running.writing(path, options);
        await running.send(input);
        const { code, stdout, stderr } = await running.stop(signal);
        const atomic = more.includes("--atomic");
        const kept = atomic
          ? `nothing kept, ${path} is as it was before`
          : `kept the first 3000001 bytes in ${path}`;
        assertEquals(stderr, `dma: stopped by ${signal}; ${kept}\n`);
        await assertFile(path, atomic ? new TextEncoder().encode("old") : input);
        assertEquals(await namesIn(dir), ["out"]);
        const report = JSON.parse(stdout);
        assertEquals([code, report.exitCode, report.signal], [exitCode, exitCode, signal]);
        assertEquals([report.ok, report.error, report.synced], [false, null, !atomic]);
        assertEquals([report.bytes, report.fileSize], atomic ? [0, 3] : [3_000_001, 3_000_001]);
      }
    },
    { bothEngines: true },
  );
}

testDma(
  "dma copy of a FIFO ends with its writer, or is stopped before there is one",
  async (dir) => {
    const [fifo, out] = [`${dir}/fifo`, `${dir}/out`];
    await runOrThrow("mkfifo", [fifo]);
    await using running = new Running(["copy", fifo, out]);
    await eventually(() => running.waitsForFifo(), "It does not wait");
    assertStopped(await running.stop("SIGINT"), `${out} was not touched`);
    assertEquals(await namesIn(dir), ["fifo"]);
    const copied = dma(["copy", fifo, out]);
    await Deno.writeFile(fifo, pattern(500_000));
    assertEquals((await copied).code, 0);
    await assertFile(out, pattern(500_000));
  },
  { bothEngines: true },
);

testDma("dma read ends with 130 on SIGINT, also without a reader", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(3_000_001));
  await using running = new Running(["read", `${dir}/in`]);
  // The pipe soon becomes full.
  await eventually(async () => await running.moved("wchar") >= 65_536, "Nothing was written");
  const { code, stderr } = await running.stop("SIGINT");
  assertEquals(code, 130);
  assertMatch(stderr, /^dma: stopped by SIGINT; wrote \d+ bytes .*to standard output\n$/);
});

// ---- a slow source ----------------------------------------------------------------------------------------------

// The second run of the suite has no io_uring, and the first run has tested threads too.
for (const engine of engineIsOfNoConcern ? engines : []) {
  testDma(`dma write --append has each line within a second, on ${engine}`, async (dir) => {
    const path = `${dir}/service.log`;
    await Deno.writeTextFile(path, "old\n");
    const has = (text: string) =>
      eventually(async () => await Deno.readTextFile(path) === text, `The file has ${text}`);
    {
      await using running = await Running.writing(path, ["--append"], engine);
      await running.send("one\n");
      await has("old\none\n");
      await running.stop("SIGKILL");
    }
    await using running = await Running.writing(path, ["--append"], engine);
    await running.send("two\n");
    await has("old\none\ntwo\n");
    await Deno.writeTextFile(path, "of another program\n", { append: true });
    await running.send("three\n");
    const kept = `kept the first 10 appended bytes in ${path}`;
    assertStopped(await running.stop("SIGINT"), kept);
    await has("old\none\ntwo\nof another program\nthree\n");
  });
}

testDma("dma write --append or --direct off shows a follower whole lines only", async (dir) => {
  for (const options of [["--append"], ["--direct", "off"]]) {
    const path = `${dir}/${options.length}.log`;
    await using running = await Running.writing(path, [...options, "--flush-every", "50ms"]);
    let done = false;
    const sending = (async () => {
      for (let line = 0; line < 10; line++) await running.send(`line ${line}\n`);
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
  }
});

testDma(
  "dma write of a pipe is never longer than its input, whose tail comes in time",
  async (dir) => {
    const large = `${dir}/large`;
    await using long = await Running.writing(large, ["--flush-every", "60m"]);
    await long.send(pattern(20_000_001));
    assert((await Deno.stat(large)).size <= 20_000_001, "A follower would read zeros");
    const [often, never] = [`${dir}/often`, `${dir}/never`];
    await using one = await Running.writing(often, ["--flush-every", "100ms", "--no-sync"]);
    await using other = await Running.writing(never, ["--flush-every", "0"]);
    await Promise.all([one.send("line\n"), other.send("line\n")]);
    const isWritten = async () => (await Deno.readTextFile(often)).startsWith("line\n");
    await eventually(isWritten, "Not written");
    assertEquals((await Deno.stat(never)).size, 0);
    await Deno.remove(never);
    const gone = `kept the first 5 bytes in ${never}, but that name is gone`;
    assertStopped(await other.stop("SIGINT"), gone);
  },
);

// ---- a source that fails ----------------------------------------------------------------------------------------

/** A program that transfers 70,005 bytes, and then perhaps a hole, of a source that then fails. */
const failing = (path: string, hole: boolean) => `
  import { transfer } from "${new URL("../../cli/transfer.ts", import.meta.url)}";
  const broken = async function* (...chunks) {
    yield* chunks;
    throw new Error("The source broke");
  };
  const chunks = [new Uint8Array(70_000).fill(1), new Uint8Array(5).fill(2)];
  const part = (position, chunks) =>
    ({ position, readable: ReadableStream.from(chunks), isWhole: false });
  const source = {
    async *parts() {
      yield part(0, ${hole} ? chunks : broken(...chunks));
      yield part(1_000_000, broken());
    },
    async close() {},
  };
  const options = { direct: "prefer", sync: true, progress: false, json: true, sparse: "auto" };
  Deno.exit(await transfer(async () => source, ${JSON.stringify(path)}, options));
`;

testDma("dma keeps what came before its source failed", async (dir) => {
  const begun = joined(filled(70_000, 1), filled(5, 2));
  const wholes = [begun, joined(begun, new Uint8Array(1_000_000 - 70_005))];
  for (const [index, whole] of wholes.entries()) {
    const path = `${dir}/out`;
    const program = ["eval", "--no-check", failing(path, index === 1)];
    const { code, stdout, stderr } = await run(Deno.execPath(), program);
    const kept = `dma: failed; kept the first ${whole.length} bytes in ${path}\n`;
    assertEquals([code, stderr], [1, `dma: The source broke\n${kept}`]);
    const { bytes, fileSize, holes, synced } = JSON.parse(stdout);
    const expected = [whole.length, whole.length, whole.length - 70_005, true];
    assertEquals([bytes, fileSize, holes, synced], expected);
    await assertFile(path, whole);
  }
});

// ---- commands with files of their own ---------------------------------------------------------------------------

/** Sends signals when there is a file in a hidden directory. Resolves to the exit code, and checks that all is gone. */
async function stopScratch(dir: string, args: string[], signals: Deno.Signal[]) {
  await using running = new Running([...args, dir]);
  let hasEnded = false;
  running.ended.finally(() => hasEnded = true);
  await eventually(async () => {
    const [inside] = await namesIn(dir);
    const scratch = `${dir}/${inside}`;
    const files = inside ? await namesIn(scratch).catch(() => []) : [];
    const mode = (await Deno.stat(scratch).catch(() => undefined))?.mode ?? 0;
    assertEquals(mode & 0o077, 0, "Other users may change its files");
    return hasEnded || files.length > 0;
  }, "Nothing was written");
  const { code, stdout } = await running.stop(...(hasEnded ? [] : signals));
  assertEquals(await namesIn(dir), []);
  if (code > 0) assertEquals(stdout, "");
  return code;
}

testDma("dma bench and doctor leave nothing behind after signals", async (dir) => {
  const bench = ["bench", "--seconds", "60", "--size", "64M"];
  assertEquals(await stopScratch(dir, bench, ["SIGTERM"]), 143);
  // The second signal can come after the end.
  assert([130, 143].includes(await stopScratch(dir, bench, ["SIGINT", "SIGTERM"])));
  const codes = [];
  // The doctor's files exist for only some milliseconds, so the signal can come too late.
  while (codes.at(-1) !== 130 && codes.length < 20) {
    codes.push(await stopScratch(dir, ["doctor"], ["SIGINT"]));
  }
  assertEquals(codes.at(-1), 130);
});

/** A program that takes three seconds to stop. */
const PROGRAM = `
  import { Interruption } from "${new URL("../../cli/interruption.ts", import.meta.url)}";
  using interruption = new Interruption();
  interruption.signal.addEventListener("abort", () => console.log("stopping"));
  console.log("ready");
  await new Promise((resolve) => setTimeout(resolve, 3000));
  console.log("stopped");
`;

/** Sends two signals, so many milliseconds apart. Resolves to the exit code and the output lines. */
async function interruptTwice(delay: number): Promise<[code: number, ...lines: string[]]> {
  const args = ["eval", "--no-check", PROGRAM];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (output === "") {
      child.kill("SIGINT");
      pause(delay).then(() => child.kill("SIGINT"));
    }
    output += text;
  }
  return [(await child.status).code, ...output.trim().split("\n")];
}

testOnce("A second signal ends the process at once, unless it is the same Ctrl-C", async () => {
  assertEquals(await interruptTwice(50), [0, "ready", "stopping", "stopped"]);
  assertEquals(await interruptTwice(600), [130, "ready", "stopping"]);
});
