// The first signal stops in good order; a second one ends the process, unless it is the same Ctrl-C once more.
import { assertEquals } from "@std/assert";
import { testOnce } from "../support/once.ts";

const MODULE = new URL("../../cli/interruption.ts", import.meta.url).href;

/** A program that takes three seconds to stop. */
const PROGRAM = `
  import { Interruption } from ${JSON.stringify(MODULE)};
  using interruption = new Interruption();
  interruption.signal.addEventListener("abort", () => console.log("stopping"));
  console.log("ready");
  await new Promise((resolve) => setTimeout(resolve, 3000));
  console.log("stopped");
`;

/** Runs the program and sends SIGINT so many milliseconds after it is ready. Resolves to its exit code and its lines. */
async function interruptAt(...delays: number[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(PROGRAM));
  await stdin.close();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (output === "") {
      for (const delay of delays) setTimeout(() => child.kill("SIGINT"), delay);
    }
    output += text;
  }
  return { code: (await child.status).code, lines: output.trim().split("\n") };
}

testOnce("A signal that arrives twice within 300 ms stops in good order", async () => {
  assertEquals(await interruptAt(0, 50), { code: 0, lines: ["ready", "stopping", "stopped"] });
});

testOnce("A second signal after 300 ms ends the process at once", async () => {
  assertEquals(await interruptAt(0, 600), { code: 130, lines: ["ready", "stopping"] });
});
