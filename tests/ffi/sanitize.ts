// Runs the C side built with AddressSanitizer and UndefinedBehaviorSanitizer, under the stress on both engines and under a
// fuzz of its arguments.
//
//   deno task sanitize [--seed N]

import { fileURLToPath } from "node:url";
import { run, runMain, runOrThrow } from "../setup/command.ts";
import { headers, installMissing } from "../setup/packages.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const FLAGS =
  "-std=gnu11 -O1 -g -Wall -Wextra -fPIC -shared -fno-omit-frame-pointer -fsanitize=address,undefined"
    .split(" ");

const seedAt = Deno.args.indexOf("--seed");
const seed = seedAt < 0 ? String(Math.floor(Math.random() * 1e6)) : Deno.args[seedAt + 1]!;

/** A library with two mistakes, which show that the sanitizers work, and a program that makes one of them. */
const mistakes = `
  #include <stdlib.h>
  int overflow(int length) { char *bytes = malloc(length); bytes[length] = 1; return bytes[0]; }
  int wrap(int number) { return number + 1; }`;
const mistaken = (library: string, name: string, argument: number) =>
  `Deno.dlopen("${library}", { ${name}: { parameters: ["i32"], result: "i32" } })
    .symbols.${name}(${argument});`;

async function main(directory: string): Promise<boolean> {
  await installMissing(headers, AbortSignal.timeout(120_000));
  // A linker would follow this linker script, but the loader needs the library itself.
  const library = await Deno.realPath(await runOrThrow("gcc", ["-print-file-name=libasan.so"]));
  const [shim, wrong] = [`${directory}/shim.so`, `${directory}/wrong.so`];
  // As ffi/build.ts links it: a thread may be in it when Deno closes it.
  const shimFlags = [...FLAGS, "-fvisibility=hidden", "-Wl,-z,nodelete"];
  await runOrThrow("gcc", [...shimFlags, "-o", shim, `${root}ffi/shim.c`]);
  await Deno.writeTextFile(`${directory}/wrong.c`, mistakes);
  await runOrThrow("gcc", [...FLAGS, "-o", wrong, `${directory}/wrong.c`]);

  let failed = 0;
  /** Runs a program with the sanitizers' library. It must print `expected`, and succeed if no mistake is expected. */
  const check = async (name: string, args: string[], expected: RegExp, engine = "auto") => {
    const { success, output } = await run(Deno.execPath(), args, {
      cwd: root,
      env: {
        DMA_SHIM: shim,
        DMA_ENGINE: engine,
        LD_PRELOAD: library,
        // V8 handles its own SIGSEGV, and Deno's own leaks at its end do not count.
        ASAN_OPTIONS: "detect_leaks=0:handle_segv=0:halt_on_error=1",
        UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
      },
    });
    const isReported = /ERROR: AddressSanitizer|runtime error:/.test(output);
    const holds = success !== isReported && expected.test(output);
    console.log(`${holds ? "ok    " : "FAILED"}  ${name}`);
    if (holds) return;
    failed++;
    console.log(output);
  };
  const evaluate = (code: string) => ["eval", "--no-check", code];
  const overflow = evaluate(mistaken(wrong, "overflow", 8));
  await check("The control: a write behind the end is seen", overflow, /heap-buffer-overflow/);
  const wrap = evaluate(mistaken(wrong, "wrap", 2 ** 31 - 1));
  await check("The control: a number that is too large is seen", wrap, /signed integer overflow/);
  for (const engine of ["io_uring", "threads"]) {
    const stress = ["--seconds", "5", "--seed", seed, "--directory", directory];
    const args = ["run", "-A", "--no-check", "tests/stress.ts", ...stress];
    await check(`The stress on ${engine}, seed ${seed}`, args, /Nothing wrong/, engine);
  }
  const fuzz = ["run", "-A", "--no-check", "tests/ffi/fuzz.ts", seed];
  await check(`Arguments of every kind, seed ${seed}`, fuzz, /^done /m);
  return failed === 0;
}

if (import.meta.main) await runMain(main);
