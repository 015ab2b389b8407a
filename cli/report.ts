// The result of a diagnosis.
import type { EngineInfo } from "../mod.ts";
import type { DirectProbe } from "./direct_probe.ts";
import type { IoUringLimits } from "./system_facts.ts";

/** One problem. */
export interface Finding {
  /** "error": does not work. "warning": works, slower. "info": hardly matters, or only to some. */
  level: "error" | "warning" | "info";
  /** What it is. */
  what: string;
  /** Its remedy; null if there is none, or none is needed. */
  remedy: string | null;
}

/** The whole diagnosis. `--json` prints it as it is. */
export interface Report {
  /** All of it in one line, which begins with "Works", "Works, slower" or "Does not work". */
  verdict: string;
  /** The problems, the worst first. */
  findings: Finding[];
  /** Whether files can be written here, by whatever engine. */
  works: boolean;
  /** Version of Deno. */
  deno: string;
  /** Operating system and architecture, as "linux x86_64". */
  platform: string;
  /** Why nothing can work on this platform, whatever else is found. */
  platformError: string | null;
  /** Release of the kernel. */
  kernel: string | null;
  /** liburing's version, whether it can be loaded (null: nobody could try), and how to get it. */
  liburing: { loads: boolean | null; version: string | null; install: string };
  /** What decides whether io_uring may be used. */
  ioUring: IoUringLimits & { allowed: boolean | null };
  /** The engine that is used, and why. */
  engine: EngineInfo;
  /** Why there is no engine. */
  engineError: string | null;
  /** The limit of locked memory in bytes; -1 for none, null where it is not known. */
  lockedMemory: number | null;
  /** Whether that limit does not bind this process; null where it is not known. */
  mayLock: boolean | null;
  /** Permission flags that the work on the path would need and that were not given. */
  missingPermissions: string[];
  /** The path. */
  probe: DirectProbe;
}
