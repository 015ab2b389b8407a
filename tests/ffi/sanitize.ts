// Runs the C side built with AddressSanitizer and UndefinedBehaviorSanitizer, under ordinary work on both engines and
// under a fuzz of its arguments.
//
//   deno task sanitize [--seed N]

import { fileURLToPath } from "node:url";
import { run, runMain, runOrThrow } from "../setup/command.ts";
import { headers, installMissing } from "../setup/packages.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = fileURLToPath(new URL("sanitize/", import.meta.url));

const FLAGS =
  "-std=gnu11 -O1 -g -Wall -Wextra -fPIC -shared -fno-omit-frame-pointer -fsanitize=address,undefined"
    .split(" ");

const seedAt = Deno.args.indexOf("--seed");
const seed = seedAt < 0 ? String(Math.floor(Math.random() * 1e6)) : Deno.args[seedAt + 1]!;

/** One run of a program under the sanitizers. */
interface Check {
  name: string;
  script: string;
  args: string[];
  env?: Record<string, string>;
  /** Whether it must succeed, or the expected report of a sanitizer. */
  expects: "done" | RegExp;
}

/** Whether a program ends as expected with the sanitizer's library, and its output. */
async function holds(
  { script, args, env, expects }: Check,
  library: string,
): Promise<[boolean, string]> {
  const command = ["run", "-A", "--no-check", `${folder}${script}`, ...args];
  const { success, output } = await run(Deno.execPath(), command, {
    cwd: root,
    env: {
      ...env,
      LD_PRELOAD: library,
      // V8 handles its own SIGSEGV, and Deno's own leaks at its end do not count.
      ASAN_OPTIONS: "detect_leaks=0:handle_segv=0:halt_on_error=1",
      UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
    },
  });
  const reported = /ERROR: AddressSanitizer|runtime error:/.test(output);
  if (expects === "done") return [success && !reported && /^done /m.test(output), output];
  return [!success && expects.test(output), output];
}

async function main(directory: string): Promise<boolean> {
  await installMissing(headers, AbortSignal.timeout(120_000));
  // A linker would follow this linker script, but the loader needs the library itself.
  const library = await Deno.realPath(await runOrThrow("gcc", ["-print-file-name=libasan.so"]));
  const shim = `${directory}/shim.so`;
  const wrong = `${directory}/overflow.so`;
  // As ffi/build.ts links it: a thread may be in it when Deno closes it.
  const shimFlags = [...FLAGS, "-fvisibility=hidden", "-Wl,-z,nodelete"];
  await runOrThrow("gcc", [...shimFlags, "-o", shim, `${root}ffi/shim.c`]);
  await runOrThrow("gcc", [...FLAGS, "-o", wrong, `${root}tests/tools/overflow.c`]);
  const env = { DMA_SHIM: shim };
  const checks: Check[] = [
    {
      name: "The control: a write behind the end is seen",
      script: "control.ts",
      args: [wrong, "overflow"],
      expects: /AddressSanitizer: heap-buffer-overflow/,
    },
    {
      name: "The control: an addition past the largest number is seen",
      script: "control.ts",
      args: [wrong, "wrap"],
      expects: /runtime error: signed integer overflow/,
    },
    ...["io_uring", "threads"].map((engine): Check => ({
      name: `Ordinary work on ${engine}`,
      script: "work.ts",
      args: [directory],
      env: { ...env, DMA_ENGINE: engine },
      expects: "done",
    })),
    {
      name: `Arguments of every kind, seed ${seed}`,
      script: "fuzz.ts",
      args: [seed],
      env,
      expects: "done",
    },
  ];
  let failed = 0;
  for (const check of checks) {
    const [held, output] = await holds(check, library);
    console.log(`${held ? "ok    " : "FAILED"}  ${check.name}`);
    if (held) continue;
    failed++;
    console.log(output);
  }
  console.log(`${checks.length - failed} passed, ${failed} failed`);
  return failed === 0;
}

if (import.meta.main) await runMain(main);
