// Which isolates may have their own memory in an operation: those alone that end with the process.

import { assertEquals } from "@std/assert";

const configure = JSON.stringify(new URL("../../src/configure.ts", import.meta.url).href);
const tell = `console.log("told", useEngine().endsWithProcess);`;
const imports = `import { useEngine } from ${configure};`;

async function told(args: string[], program: string): Promise<string | undefined> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/program_test.ts`, program);
    const child = new Deno.Command(Deno.execPath(), {
      args: [...args, "--no-check", `${directory}/program_test.ts`],
      env: { NO_COLOR: "1" },
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let output = "";
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      output += value ?? "";
      // One that watches never ends by itself.
      if (done || /told .*\n/.test(output)) break;
    }
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await reader.cancel();
    await child.status;
    return /told (\S+)/.exec(output)?.[1];
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const programs: [name: string, args: string[], program: string, endsWithProcess: boolean][] = [
  ["a program", ["run", "-A"], imports + tell, true],
  ["a program that is watched", ["run", "-A", "--watch"], imports + tell, false],
  ["a program whose modules are replaced", ["run", "-A", "--unstable-hmr"], imports + tell, false],
  ["a program of deno watch", ["watch", "-A"], imports + tell, false],
  [
    "a Worker",
    ["run", "-A"],
    `${imports}
    const code = ${JSON.stringify(imports + tell)};
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    if ("Window" in globalThis || !("WorkerGlobalScope" in globalThis)) new Worker(url, { type: "module" });`,
    false,
  ],
  [
    "a Worker of Node",
    ["run", "-A"],
    `import { Worker } from "node:worker_threads";
    new Worker(new URL("data:text/javascript," + encodeURIComponent(${
      JSON.stringify(imports + tell)
    })));`,
    false,
  ],
  ["a test", ["test", "-A"], `${imports} Deno.test("a test", () => { ${tell} });`, false],
  [
    "a benchmark",
    ["bench", "-A"],
    `${imports} Deno.bench("a bench", { n: 1 }, () => {}); ${tell}`,
    false,
  ],
];

for (const [name, args, program, endsWithProcess] of programs) {
  Deno.test(`The kernel ${endsWithProcess ? "may" : "may not"} have the memory of ${name}`, async () => {
    assertEquals(await told(args, program), String(endsWithProcess));
  });
}
