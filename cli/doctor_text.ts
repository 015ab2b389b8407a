// The diagnosis as text: the verdict, problems with their remedies, and the facts.
import { copiesForChecksums } from "./findings.ts";
import { inOneLine } from "./output.ts";
import type { Finding, Report } from "./report.ts";
import { forOutput, type Style } from "./styling.ts";
import { isKernel, isServed } from "./system_facts.ts";
import { formatSize } from "./units.ts";

/** The mark of a line: "ok", "--" (works, but not in the best way), "!!" (does not work). */
type Mark = "ok" | "--" | "!!";

const MARK_STYLES: Record<Mark, Style> = { ok: "green", "--": "yellow", "!!": "red" };
const LEVELS: Record<Finding["level"], [label: string, style: Style]> = {
  error: ["Problem", "red"],
  warning: ["Slower", "yellow"],
  info: ["Note", "cyan"],
};

/** The verdict, then the findings, then one line for each fact. */
export function reportLines(report: Report): string[] {
  const { platformError } = report;
  if (platformError !== null) {
    return [
      verdict(report),
      "",
      line("ok", "Deno", report.deno),
      line("!!", "Platform", report.platform),
    ];
  }
  return [
    verdict(report),
    ...report.findings.flatMap(finding),
    "",
    line("ok", "Deno", report.deno),
    line("ok", "Platform", report.platform),
    kernel(report),
    liburing(report),
    ioUring(report),
    engine(report),
    lockedMemory(report),
    permissions(report),
    path(report),
    fileSystem(report),
    alignment(report),
    atomicWrite(report),
    directIo(report),
    fileEngine(report),
  ];
}

function verdict({ verdict, works, findings }: Report): string {
  const slower = findings.some(({ level }) => level === "warning");
  const [, head = "", rest = ""] = /^(.*?:)(.*)$/.exec(inOneLine(verdict)) ?? [];
  return forOutput(forOutput(head, works ? slower ? "yellow" : "green" : "red"), "bold") + rest;
}

function finding({ level, what, remedy }: Finding): string[] {
  const [label, style] = LEVELS[level];
  return [
    "",
    `${forOutput(label, style)}: ${inOneLine(what)}`,
    ...(remedy === null ? [] : [`  ${forOutput("Remedy", "bold")}: ${inOneLine(remedy)}`]),
  ];
}

function line(mark: Mark, label: string, text: string): string {
  return `${forOutput(mark, MARK_STYLES[mark])}  ${label.padEnd(14)}${inOneLine(text)}`;
}

function kernel({ kernel }: Report): string {
  if (kernel === null) return line("--", "Kernel", "unknown (needs --allow-sys)");
  return isKernel(kernel, "6.1")
    ? line("ok", "Kernel", kernel)
    : line("--", "Kernel", `${kernel}; 6.1 and newer report the alignment of Direct I/O`);
}

function liburing({ liburing: { loads, version, install } }: Report): string {
  if (loads === null) return line("--", "liburing", "unknown (needs --allow-ffi)");
  return loads
    ? line("ok", "liburing", version ?? "present (unknown version)")
    : line("--", "liburing", `missing: ${install}`);
}

function ioUring({ ioUring }: Report): string {
  if (ioUring.allowed) return line("ok", "io_uring", "allowed");
  const why = [];
  if (ioUring.disabled === 1) {
    why.push("the sysctl kernel.io_uring_disabled is 1: only root and a group may use it");
  }
  if (ioUring.disabled === 2) {
    why.push("the sysctl kernel.io_uring_disabled is 2: nobody may use it");
  }
  if (ioUring.seccomp) {
    why.push("a seccomp filter is active, as in containers, whose default filter forbids io_uring");
  }
  if (ioUring.allowed === null) {
    return line("--", "io_uring", ["not tried", ...why].join("; "));
  }
  return line("--", "io_uring", ["refused", ...why].join("; "));
}

function engine({ engine, engineError }: Report): string {
  if (engineError !== null) return line("!!", "Engine", `none: ${engineError}`);
  const mark = engine.engine === "io_uring" ? "ok" : "--";
  return line(
    mark,
    "Engine",
    `${engine.engine}: ${[engine.reason, ...engine.features].join("; ")}`,
  );
}

function lockedMemory({ lockedMemory: bytes, engine }: Report): string {
  const label = "Locked memory";
  const ring = engine.engine === "io_uring";
  const about = !ring
    ? ""
    : engine.registeredBuffers
    ? "; buffers are registered with the ring"
    : "; buffers are not registered with the ring, which costs some speed";
  if (bytes === null) return line("--", label, `unknown limit (needs --allow-all)${about}`);
  const limit = bytes < 0 ? "no limit" : `at most ${formatSize(bytes)}`;
  return line(ring && !engine.registeredBuffers ? "--" : "ok", label, `${limit}${about}`);
}

function permissions({ missingPermissions }: Report): string {
  return missingPermissions.length === 0
    ? line("ok", "Permissions", "complete")
    : line("!!", "Permissions", `missing: ${missingPermissions.join(" ")}`);
}

function path({ probe }: Report): string {
  return probe.error === null
    ? line(
      probe.broken.length === 0 ? "ok" : "!!",
      "Path",
      `${probe.path}: ${probe.kind}, ${probe.tried}`,
    )
    : line("!!", "Path", `${probe.path}: ${probe.error}`);
}

function fileSystem({ probe: { mount } }: Report): string {
  if (mount === null) return line("--", "File system", "unknown");
  const { type, device, mountPoint, options } = mount;
  return line(
    options.includes("ro") ? "--" : "ok",
    "File system",
    `${type} (${device} at ${mountPoint}${options.includes("ro") ? ", read-only" : ""})`,
  );
}

/** The engine that reads and writes files of this path. */
function fileEngine({ engine: { engine }, probe: { mount } }: Report): string {
  const label = "File engine";
  if (mount && isServed(mount)) {
    return line("ok", label, `threads: calls for files of ${mount.type} may wait for its server`);
  }
  return engine === null ? line("--", label, "unknown") : line("ok", label, engine);
}

function atomicWrite({ probe: { atomicWrite } }: Report): string {
  if (atomicWrite === null) return line("--", "Untorn", "unknown");
  if (atomicWrite.max === 0) return line("--", "Untorn", "no atomic writes");
  return line("ok", "Untorn", `atomic writes of ${atomicWrite.min} to ${atomicWrite.max} bytes`);
}

function alignment({ probe: { alignment } }: Report): string {
  return alignment === null
    ? line("--", "Alignment", "unknown")
    : line("ok", "Alignment", `${alignment.memory} in memory, ${alignment.offset} in the file`);
}

function directIo({ kernel, probe: { direct, reason, mount, noCow } }: Report): string {
  if (direct && copiesForChecksums(mount, kernel, noCow)) {
    return line("--", "Direct I/O", "for reading; writes go through the page cache");
  }
  if (direct) return line("ok", "Direct I/O", "yes");
  if (direct === null) return line("!!", "Direct I/O", "could not be tried");
  const why = reason ?? `${mount?.type ?? "the file system"} has none`;
  return line("--", "Direct I/O", `no, the page cache is used: ${why}`);
}
