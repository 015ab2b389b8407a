// Stops transfers with signals: the remaining file must be complete up to its end, or absent.

import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { STOPPING_SIGNALS, type StoppingSignal } from "../../cli/exit_codes.ts";
import { endOf, runOrThrow } from "../setup/command.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testOnce } from "../support/once.ts";
import { dma, interrupt, spawn, testInDirectory } from "./process.ts";

/**
 * Whether a thread of a process waits for the other end of a FIFO. Deno itself catches SIGINT before a listener is
 * added.
 */
async function waitsForFifo(pid: number): Promise<boolean> {
  for (const { name } of [...Deno.readDirSync(`/proc/${pid}/task`)]) {
    const place = await Deno.readTextFile(`/proc/${pid}/task/${name}/wchan`).catch(() => "");
    if (place === "wait_for_partner") return true;
  }
  return false;
}

for (const [signal, exitCode] of Object.entries(STOPPING_SIGNALS)) {
  testInDirectory(
    `dma write keeps a prefix and ends with ${exitCode} on ${signal}`,
    async (dir) => {
      const input = pattern(3_000_001);
      const begun = () =>
        Deno.readFile(`${dir}/out`).then((bytes) => bytes[65_535] === input[65_535], () => false);
      const args = ["write", "--buffer-size", "64K", `${dir}/out`];
      const stopping = { input, signal: signal as StoppingSignal, begun };
      const { code, stderr } = await interrupt(args, stopping);
      assertEquals(code, exitCode, stderr);
      const says = new RegExp(
        `^dma: stopped by ${signal}; kept the first (\\d+) bytes in .*out\n$`,
      );
      const kept = Number(says.exec(stderr)?.[1]);
      assertGreater(kept, 65_535, stderr);
      await assertFile(`${dir}/out`, input.subarray(0, kept));
    },
    { bothEngines: true },
  );
}

testInDirectory("dma copy that waits for a FIFO is stopped, and touches nothing", async (dir) => {
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  await Deno.writeTextFile(`${dir}/out`, "old");
  const args = ["copy", `${dir}/fifo`, `${dir}/out`];
  const { code, stderr } = await interrupt(args, { begun: waitsForFifo });
  assertEquals(code, 130, stderr);
  assertStringIncludes(stderr, "was not touched");
  assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
}, { bothEngines: true });

testInDirectory("dma copy of a FIFO ends with its writer", async (dir) => {
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  const copied = dma(["copy", `${dir}/fifo`, `${dir}/out`]);
  await Deno.writeFile(`${dir}/fifo`, pattern(500_000));
  const { code, stderr } = await copied;
  assertEquals(code, 0, stderr);
  await assertFile(`${dir}/out`, pattern(500_000));
}, { bothEngines: true });

/**
 * Sends signals when there is a file in a directory below `dir`. Resolves to the exit code, and checks the remaining
 * files.
 */
async function interruptScratch(
  dir: string,
  args: string[],
  signals: readonly StoppingSignal[],
): Promise<number> {
  const child = spawn([...args, dir]);
  let hasEnded = false;
  const ran = endOf(child).finally(() => hasEnded = true);
  await eventually(async () => {
    const [inside] = await namesIn(dir);
    const scratch = `${dir}/${inside}`;
    const files = inside ? await namesIn(scratch).catch(() => []) : [];
    const mode = (await Deno.stat(scratch).catch(() => undefined))?.mode ?? 0;
    assertEquals(mode & 0o077, 0, "Other users may change its files");
    return hasEnded || files.length > 0;
  }, "Nothing was written");
  if (!hasEnded) { for (const signal of signals) child.kill(signal); }
  const { code, stdout } = await ran;
  await child.stdin.close().catch(() => {});
  assertEquals(await namesIn(dir), []);
  if (code > 0) assertEquals(stdout, "");
  return code;
}

for (const signals of [["SIGINT"], ["SIGTERM"], ["SIGINT", "SIGTERM"]] as const) {
  testInDirectory(`dma bench leaves nothing behind after ${signals.join(" and ")}`, async (dir) => {
    const args = ["bench", "--seconds", "60", "--size", "64M"];
    const code = await interruptScratch(dir, args, signals);
    // The second signal can come after the end.
    assert(signals.some((signal) => STOPPING_SIGNALS[signal] === code), `${code}`);
  });
}

testInDirectory("dma doctor leaves nothing behind after SIGINT", async (dir) => {
  const codes = [];
  // Its files exist for only some milliseconds, so the signal can come too late.
  while (codes.at(-1) !== 130 && codes.length < 20) {
    codes.push(await interruptScratch(dir, ["doctor"], ["SIGINT"]));
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
      for (const after of [0, delay]) setTimeout(() => child.kill("SIGINT"), after);
    }
    output += text;
  }
  return [(await child.status).code, ...output.trim().split("\n")];
}

testOnce("A second signal ends the process at once, unless it is the same Ctrl-C", async () => {
  assertEquals(await interruptTwice(50), [0, "ready", "stopping", "stopped"]);
  assertEquals(await interruptTwice(600), [130, "ready", "stopping"]);
});
