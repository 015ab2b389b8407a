// The result of a diagnosis.
import type { EngineInfo } from "../mod.ts";
import type { DirectProbe } from "./direct_probe.ts";
import type { IoUringLimits } from "./system_facts.ts";

export interface Finding {
  /** "error": does not work. "warning": works, slower. "info": matters to few programs. */
  level: "error" | "warning" | "info";
  /** The text of the problem. */
  what: string;
  /** The remedy; null if there is none, or none is needed. */
  remedy: string | null;
}

/** The whole diagnosis, in the form that `--json` prints. */
export interface Report {
  /** One line, which begins with "Works", "Works, slower" or "Does not work". */
  verdict: string;
  /** The problems, the worst first. */
  findings: Finding[];
  /** Whether files can be written on the path, with any engine. */
  works: boolean;
  deno: string;
  /** Operating system and architecture, for example "linux x86_64". */
  platform: string;
  /** The reason if the module cannot run on this platform. */
  platformError: string | null;
  kernel: string | null;
  /** Whether liburing can be loaded (null: unknown), its version, and the command that installs it. */
  liburing: { loads: boolean | null; version: string | null; install: string };
  /** Whether io_uring is allowed (null: not tried), and the limits that decide it. */
  ioUring: IoUringLimits & { allowed: boolean | null };
  /** The engine in use, and the reason. */
  engine: EngineInfo;
  /** The reason if there is no engine. */
  engineError: string | null;
  /** The limit of locked memory in bytes; -1: no limit; null: unknown. */
  lockedMemory: number | null;
  /** Whether this process may exceed that limit; null: unknown. */
  mayLock: boolean | null;
  /** Permission flags that the path needs and that were not given. */
  missingPermissions: string[];
  probe: DirectProbe;
}
