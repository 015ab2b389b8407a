// What a transfer has kept when it ends early: by a signal, by SIGKILL, or because its source failed.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Ended, eventually, run, runOrThrow, urlOf } from "../setup/command.ts";
import { assertFile, filled, joined, namesIn, pattern } from "../support/bytes.ts";
import { testOnce } from "../support/dirs.ts";
import { dma, Running, testDma } from "./process.ts";

/** Throws unless a run was stopped by SIGINT, and says this of its file. */
function assertStopped({ code, stderr }: Ended, says: string): void {
  assertEquals([code, stderr], [130, `dma: stopped by SIGINT; ${says}\n`]);
}

for (const [signal, exitCode] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGTERM", 143]] as const) {
  testDma(`dma write keeps accepted bytes, and ends with ${exitCode} on ${signal}`, async (dir) => {
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
  }, { bothEngines: true });
}

testDma("dma copy of a FIFO ends with its writer, or by a signal before", async (dir) => {
  const [fifo, out] = [`${dir}/fifo`, `${dir}/out`];
  await runOrThrow("mkfifo", [fifo]);
  await using running = new Running(["copy", fifo, out]);
  await running.waits();
  assertStopped(await running.stop("SIGINT"), `${out} was not touched`);
  assertEquals(await namesIn(dir), ["fifo"]);
  const copied = dma(["copy", fifo, out]);
  await Deno.writeFile(fifo, pattern(500_000));
  assertEquals((await copied).code, 0);
  await assertFile(out, pattern(500_000));
}, { bothEngines: true });

testDma("dma read ends with 130 on SIGINT, also without a reader", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(3_000_001));
  await using running = new Running(["read", `${dir}/in`]);
  // The pipe becomes full.
  await running.waits();
  const { code, stderr } = await running.stop("SIGINT");
  assertEquals(code, 130);
  assertMatch(stderr, /^dma: stopped by SIGINT; wrote \d+ bytes .*to standard output\n$/);
});

testDma("dma write --append has each line soon, behind those of other programs", async (dir) => {
  const path = `${dir}/service.log`;
  await Deno.writeTextFile(path, "old\n");
  const has = (text: string) =>
    eventually(async () => await Deno.readTextFile(path) === text, `The file has ${text}`);
  await using running = await Running.writing(path, ["--append"]);
  await running.send("one\n");
  await has("old\none\n");
  await Deno.writeTextFile(path, "of another program\n", { append: true });
  await running.send("two\n");
  assertStopped(await running.stop("SIGINT"), `kept the first 8 appended bytes in ${path}`);
  await has("old\none\nof another program\ntwo\n");
}, { bothEngines: true });

testDma("dma write --append or --direct off shows a follower whole lines only", async (dir) => {
  const lines = Array.from({ length: 10 }, (_, line) => `line ${line}\n`);
  for (const options of [["--append"], ["--direct", "off", "--no-sync"]]) {
    const path = `${dir}/${options.length}.log`;
    await using running = await Running.writing(path, [...options, "--flush-every", "100ms"]);
    const sending = (async () => {
      for (const line of lines) await running.send(line);
    })();
    let longest = 0;
    await eventually(async () => {
      const seen = await Deno.readTextFile(path);
      assertMatch(seen, /^(line \d\n)*$/);
      assert(seen.length >= longest, "The file became shorter");
      longest = seen.length;
      return seen === lines.join("");
    });
    await sending;
  }
});

testDma("dma write of a pipe adds no zeros, and with --flush-every 0 no tail", async (dir) => {
  const large = `${dir}/large`;
  await using long = await Running.writing(large, ["--flush-every", "60m"]);
  await long.send(pattern(20_000_001));
  assert((await Deno.stat(large)).size <= 20_000_001, "A follower would read zeros");
  const never = `${dir}/never`;
  await using other = await Running.writing(never, ["--flush-every", "0"]);
  await other.send("line\n");
  assertEquals((await Deno.stat(never)).size, 0);
  await Deno.remove(never);
  const gone = `kept the first 5 bytes in ${never}, but that name is gone`;
  assertStopped(await other.stop("SIGINT"), gone);
});

/** A program that transfers 70,005 bytes and a hole, of a source that then fails. */
const failing = (path: string) => `
  import { transfer } from "${urlOf("cli/transfer.ts")}";
  async function* broken() {
    throw new Error("The source broke");
  }
  const part = (position, chunks) =>
    ({ position, readable: ReadableStream.from(chunks), isWhole: false });
  const source = {
    async *parts() {
      yield part(0, [new Uint8Array(70_005).fill(1)]);
      yield part(1_000_000, broken());
    },
    async close() {},
  };
  const options = { direct: "prefer", sync: true, progress: false, json: true, sparse: "auto" };
  Deno.exit(await transfer(async () => source, ${JSON.stringify(path)}, options));
`;

testDma("dma keeps what came before its source failed, also a hole", async (dir) => {
  const path = `${dir}/out`;
  const program = ["eval", "--no-check", failing(path)];
  const { code, stdout, stderr } = await run(Deno.execPath(), program);
  const kept = `dma: failed; kept the first 1000000 bytes in ${path}\n`;
  assertEquals([code, stderr], [1, `dma: The source broke\n${kept}`]);
  const { bytes, fileSize, holes, synced } = JSON.parse(stdout);
  assertEquals([bytes, fileSize, holes, synced], [1_000_000, 1_000_000, 929_995, true]);
  await assertFile(path, joined(filled(70_005, 1), new Uint8Array(929_995)));
});

/** Stops a command when there is a file in its hidden directory. Resolves to the exit code, and checks that all is gone. */
async function stopScratch(dir: string, args: string[]): Promise<number> {
  await using running = new Running([...args, dir]);
  let hasEnded = false;
  running.ended.finally(() => hasEnded = true);
  await eventually(async () => {
    const [inside] = await namesIn(dir);
    const scratch = `${dir}/${inside}`;
    const mode = (await Deno.stat(scratch).catch(() => undefined))?.mode ?? 0;
    assertEquals(mode & 0o077, 0, "Other users may change its files");
    return hasEnded || (await namesIn(scratch).catch(() => [])).length > 0;
  }, "Nothing was written");
  const { code, stdout } = await running.stop("SIGINT");
  assertEquals(await namesIn(dir), []);
  assertEquals(stdout === "", code === 130);
  return code;
}

testDma("dma bench and doctor leave nothing behind after a signal", async (dir) => {
  assertEquals(await stopScratch(dir, ["bench", "--seconds", "60", "--size", "64M"]), 130);
  // The doctor's files are there for some milliseconds only. On a busy machine each signal can come too late.
  for (let attempt = 0; attempt < 20; attempt++) {
    if (await stopScratch(dir, ["doctor"]) === 130) break;
  }
});

/** A program that is stopped twice, so many milliseconds apart. */
const stoppedTwice = (milliseconds: number) => `
  import { Interruption } from "${urlOf("cli/interruption.ts")}";
  using interruption = new Interruption();
  for (const time of [0, ${milliseconds}]) {
    performance.now = () => time;
    const arrived = new Promise((resolve) => Deno.addSignalListener("SIGINT", resolve));
    Deno.kill(Deno.pid, "SIGINT");
    await arrived;
  }
  console.log(interruption.signal.reason.message);
  Deno.exit(0);
`;

testOnce("A second signal ends the process at once, unless it is the same Ctrl-C", async () => {
  const cases = [[299, 0, "Stopped by SIGINT\n"], [300, 130, ""]] as const;
  for (const [milliseconds, ...ends] of cases) {
    const program = ["eval", "--no-check", stoppedTwice(milliseconds)];
    const { code, stdout, stderr } = await run(Deno.execPath(), program);
    assertEquals([code, stdout], ends, stderr);
  }
});
