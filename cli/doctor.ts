// Gathers the facts about this machine. doctor_text.ts prints them.
import { assertPlatform } from "../ffi/platform.ts";
import { environment } from "../ffi/shim.ts";
import { DmaFile, engineInfo } from "../mod.ts";
import { probe } from "./direct_probe.ts";
import { reportLines } from "./doctor_text.ts";
import { EXIT_IO_ERROR, EXIT_OK } from "./exit_codes.ts";
import { findings, verdict } from "./findings.ts";
import { endEarly, Interruption } from "./interruption.ts";
import { describe, jsonText, print } from "./output.ts";
import type { Report } from "./report.ts";
import {
  ioUringLimits,
  kernelRelease,
  liburingInstall,
  lockedMemoryLimit,
  mayLockMemory,
} from "./system_facts.ts";

/** Options of a diagnosis. */
export interface DoctorOptions {
  /** Prints one JSON object instead of lines. */
  json?: boolean;
}

/** Prints the diagnosis. Resolves to 0 if files can be written in a directory, or a file can be read; else to 1. */
export async function doctor(path: string, options: DoctorOptions): Promise<number> {
  const wrongPlatform = platformError();
  using interruption = wrongPlatform === null ? new Interruption() : undefined;
  try {
    const examined = examine(path, wrongPlatform);
    const report = await (interruption?.race(examined) ?? examined);
    print(options.json ? jsonText(report, 2) : reportLines(report).join("\n"));
    return report.works ? EXIT_OK : EXIT_IO_ERROR;
  } catch (error) {
    return endEarly(error, "the test files are removed");
  }
}

async function examine(path: string, wrongPlatform: string | null): Promise<Report> {
  // Checked first: on a terminal a later prompt could grant these permissions.
  const missing = await missingPermissions(path);
  const found = await probe(path);
  const engineError = await settleEngine();
  const engine = engineInfo();
  const loads = wrongPlatform === null ? engine.liburing !== null || liburingLoads() : null;
  // io_uring was not tried if liburing is missing or threads were chosen.
  const refused = loads && engine.engine === "threads" && environment("DMA_ENGINE") !== "threads";
  const locked = await lockedMemoryLimit();
  const facts = {
    works: engineError === null && found.error === null && found.broken.length === 0,
    deno: Deno.version.deno,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    platformError: wrongPlatform,
    kernel: engine.kernel || kernelRelease(),
    liburing: { loads, version: engine.liburing, install: await liburingRemedy() },
    ioUring: {
      allowed: engine.engine === "io_uring" ? true : refused ? false : null,
      ...await ioUringLimits(),
    },
    engine,
    engineError,
    lockedMemory: locked === Infinity ? -1 : locked,
    mayLock: await mayLockMemory(),
    missingPermissions: missing,
    probe: found,
  };
  const judged = findings(facts);
  return { verdict: verdict(facts, judged), findings: judged, ...facts };
}

/** Opens a temporary file if none was opened, because the engine is chosen when the first file is opened. */
async function settleEngine(): Promise<string | null> {
  if (engineInfo().engine !== null) return null;
  try {
    await (await DmaFile.temp()).close();
    return null;
  } catch (error) {
    // The engine is also chosen if the file itself cannot be opened, for example without permission.
    return engineInfo().engine === null ? describe(error) : null;
  }
}

function platformError(): string | null {
  try {
    assertPlatform();
    return null;
  } catch (error) {
    return describe(error);
  }
}

function liburingLoads(): boolean | null {
  try {
    Deno.dlopen(environment("DMA_LIBURING") ?? "liburing.so.2", {}).close();
    return true;
  } catch (error) {
    return error instanceof Deno.errors.NotCapable ? null : false;
  }
}

/** The remedy if liburing does not load: install the package, or unset a wrong DMA_LIBURING. */
async function liburingRemedy(): Promise<string> {
  const path = environment("DMA_LIBURING");
  return path ? `unset DMA_LIBURING, which is ${path}` : await liburingInstall();
}

async function missingPermissions(path: string): Promise<string[]> {
  const wanted: [string, Deno.PermissionDescriptor][] = [
    ["--allow-ffi", { name: "ffi" }],
    ["--allow-read", { name: "read", path }],
    ["--allow-write", { name: "write", path }],
  ];
  const states = await Promise.all(
    wanted.map(async ([flag, descriptor]) =>
      (await Deno.permissions.query(descriptor)).state === "granted" ? [] : [flag]
    ),
  );
  return states.flat();
}
