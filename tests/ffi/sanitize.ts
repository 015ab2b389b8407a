// The program of `deno task sanitize [--seed N]`, which tests/README.md describes.

import { allTargets, buildSelfTest, parts } from "./architectures/targets.ts";
import { root, run, runOrThrow } from "../setup/command.ts";
import { runMain } from "../setup/file_systems.ts";
import { aptInstall, headers, missing } from "../setup/packages.ts";

const FLAGS =
  "-std=gnu11 -O1 -g -Wall -Wextra -fPIC -shared -fno-omit-frame-pointer -fsanitize=address,undefined"
    .split(" ");

const seedAt = Deno.args.indexOf("--seed");
const seed = seedAt < 0 ? String(Math.floor(Math.random() * 1e6)) : Deno.args[seedAt + 1]!;

/** Two mistakes, which show that the sanitizers work: functions, their arguments and the reports. */
const mistakes: [name: string, argument: number, report: RegExp][] = [
  ["overflow", 8, /heap-buffer-overflow/],
  ["wrap", 2 ** 31 - 1, /signed integer overflow/],
];
const mistaken = `
  #include <stdlib.h>
  int overflow(int length) { char *bytes = malloc(length); bytes[length] = 1; return bytes[0]; }
  int wrap(int number) { return number + 1; }`;

async function main(directory: string): Promise<boolean> {
  await aptInstall([missing(headers)], AbortSignal.timeout(120_000));
  // A linker would follow this linker script, but the loader needs the library itself.
  const library = await Deno.realPath(await runOrThrow("gcc", ["-print-file-name=libasan.so"]));
  const [shim, wrong] = [`${directory}/shim.so`, `${directory}/wrong.so`];
  // As ffi/build.ts links it: a thread may be in it when Deno closes it.
  const shimFlags = [...FLAGS, "-fvisibility=hidden", "-Wl,-z,nodelete"];
  await runOrThrow("gcc", [...shimFlags, "-o", shim, `${root}/ffi/shim.c`]);
  await Deno.writeTextFile(`${directory}/wrong.c`, mistaken);
  await runOrThrow("gcc", [...FLAGS, "-o", wrong, `${directory}/wrong.c`]);

  /** The output of a program that has the sanitizers' library. */
  const sanitized = async ([program = "", ...args]: string[], engine = "auto") => {
    const env = {
      DMA_SHIM: shim,
      DMA_ENGINE: engine,
      LD_PRELOAD: library,
      // V8 handles its own SIGSEGV, and Deno's own leaks at its end do not count.
      ASAN_OPTIONS: "detect_leaks=0:handle_segv=0:halt_on_error=1",
      UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
    };
    return (await run(program, args, { cwd: root, env })).output;
  };
  let failed = 0;
  const check = (name: string, output: string, expected: RegExp, isMistake = false) => {
    const isReported = /ERROR: AddressSanitizer|runtime error:/.test(output);
    const holds = isReported === isMistake && expected.test(output);
    console.log(`${holds ? "ok    " : "FAILED"}  ${name}`);
    if (holds) return;
    failed++;
    console.log(output);
  };
  const deno = [Deno.execPath(), "run", "-A", "--no-check"];
  for (const [name, argument, report] of mistakes) {
    const symbols = `{ ${name}: { parameters: ["i32"], result: "i32" } }`;
    const program = `Deno.dlopen("${wrong}", ${symbols}).symbols.${name}(${argument});`;
    const output = await sanitized([Deno.execPath(), "eval", program]);
    check(`The control: a deliberate ${name} is seen`, output, report, true);
  }
  for (const engine of ["io_uring", "threads"]) {
    const stress = ["tests/stress.ts", "--seconds", "5", "--seed", seed, "--directory", directory];
    const output = await sanitized([...deno, ...stress], engine);
    check(`The stress on ${engine}, seed ${seed}`, output, /Nothing wrong/);
  }
  const target = allTargets().find(({ architecture }) => architecture === Deno.build.arch)!;
  const selfTest = await buildSelfTest(target, directory);
  for (const part of parts) {
    const output = await sanitized([selfTest, shim, part]);
    check(`The self-test of the C part: ${part}`, output, /^[1-9]\d* checks, 0 failed$/m);
  }
  return failed === 0;
}

if (import.meta.main) Deno.exit(await runMain(main));
