// Stops transfers half-way with signals: what is left must be whole, or nothing.
import { eventually } from "../support/descriptors.ts";
import { assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { dma, interrupt, output, spawn, testInDirectory } from "./process.ts";
import { runOrThrow } from "../setup/command.ts";

/** Whether a thread of a process waits for the other end of a FIFO. Deno itself catches SIGINT before anybody listens. */
async function waitsForFifo(pid: number): Promise<boolean> {
  for (const { name } of [...Deno.readDirSync(`/proc/${pid}/task`)]) {
    const place = await Deno.readTextFile(`/proc/${pid}/task/${name}/wchan`).catch(() => "");
    if (place === "wait_for_partner") return true;
  }
  return false;
}

/** Whether the beginning of a file of `dir` is `start`. */
async function begins(dir: string, start: Uint8Array): Promise<boolean> {
  for (const name of await namesIn(dir)) {
    const bytes = (await Deno.readFile(`${dir}/${name}`)).subarray(0, start.length);
    if (bytes.length === start.length && bytes.every((byte, at) => byte === start[at])) return true;
  }
  return false;
}

for (const [signal, exitCode] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  testInDirectory(
    `dma write keeps a whole prefix and ends with ${exitCode} on ${signal}`,
    async (dir) => {
      const input = pattern(3_000_001);
      const args = ["write", "--buffer-size", "64K", `${dir}/out`];
      const begun = () => begins(dir, input.subarray(0, 65_536));
      const { code, stderr } = await interrupt(args, input, signal, begun);
      assertEquals(code, exitCode, stderr);
      const kept = Number(
        new RegExp(`^dma: stopped by ${signal}; kept the first (\\d+) bytes in .*out\n$`)
          .exec(stderr)?.[1],
      );
      const file = await Deno.readFile(`${dir}/out`);
      assertEquals(file.length, kept, stderr);
      assertGreater(kept, 65_535);
      assertEquals(file, input.subarray(0, kept));
    },
    { bothEngines: true },
  );
}

testInDirectory(
  "dma write --atomic leaves no new file on SIGINT, and the old one as it was",
  async (dir) => {
    await Deno.writeTextFile(`${dir}/out`, "old");
    const args = ["write", "--atomic", "--buffer-size", "64K", `${dir}/out`];
    const { code, stderr } = await interrupt(args, pattern(2_000_000), "SIGINT");
    assertEquals(code, 130, stderr);
    assertMatch(stderr, /^dma: stopped by SIGINT; nothing kept, .*out is as it was before\n$/);
    assertEquals(await namesIn(dir), ["out"]);
    assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
  },
  { bothEngines: true },
);

testInDirectory(
  "dma copy that waits for a FIFO is stopped by SIGINT before it touches anything",
  async (dir) => {
    await runOrThrow("mkfifo", [`${dir}/fifo`]);
    await Deno.writeTextFile(`${dir}/out`, "old");
    const child = spawn("copy", `${dir}/fifo`, `${dir}/out`);
    const ran = output(child);
    await eventually(() => waitsForFifo(child.pid), "It does not wait for the FIFO");
    child.kill("SIGINT");
    const { code, stderr } = await ran;
    await child.stdin.close();
    assertEquals(code, 130, stderr);
    assertStringIncludes(stderr, "was not touched");
    assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
  },
  { bothEngines: true },
);

testInDirectory("dma copy of a FIFO ends with its writer", async (dir) => {
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  const copied = dma(["copy", `${dir}/fifo`, `${dir}/out`]);
  await Deno.writeFile(`${dir}/fifo`, pattern(500_000));
  const { code, stderr } = await copied;
  assertEquals(code, 0, stderr);
  await assertFile(`${dir}/out`, pattern(500_000));
}, { bothEngines: true });
