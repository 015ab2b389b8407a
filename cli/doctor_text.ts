// The diagnosis as text: the verdict, problems with their remedies, and the facts.
import { copiesForChecksums, ioUringObstacles, lacksRegistration } from "./findings.ts";
import { inOneLine } from "./output.ts";
import type { Finding, Report } from "./report.ts";
import { forOutput, type Style } from "./styling.ts";
import { isKernel } from "./system_facts.ts";
import { formatSize } from "./units.ts";

/** The mark of a line: "ok", "--" (works, but not in the best way), "!!" (does not work). */
type Mark = "ok" | "--" | "!!";

const MARK_STYLES: Record<Mark, Style> = { ok: "green", "--": "yellow", "!!": "red" };
const LEVELS: Record<Finding["level"], [label: string, style: Style]> = {
  error: ["Problem", "red"],
  warning: ["Slower", "yellow"],
  info: ["Note", "cyan"],
};

/** One fact: its mark, its label, and its text. */
type Line = [mark: Mark, label: string, text: string];

/** The verdict, then the findings, then one line for each fact. */
export function reportLines(report: Report): string[] {
  const deno: Line = ["ok", "Deno", report.deno];
  const facts: Line[] = report.platformError !== null
    ? [deno, ["!!", "Platform", report.platform]]
    : [deno, ["ok", "Platform", report.platform], ...machineFacts(report), ...pathFacts(report)];
  // On another platform the verdict says what the only finding would.
  const findings = report.platformError === null ? report.findings.flatMap(finding) : [];
  return [verdict(report), ...findings, "", ...facts.map(line)];
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

function line([mark, label, text]: Line): string {
  return `${forOutput(mark, MARK_STYLES[mark])}  ${label.padEnd(14)}${inOneLine(text)}`;
}

function machineFacts(report: Report): Line[] {
  const { engine, engineError, kernel, missingPermissions } = report;
  return [
    kernel === null
      ? ["--", "Kernel", "unknown (needs --allow-sys)"]
      : isKernel(kernel, "6.1")
      ? ["ok", "Kernel", kernel]
      : ["--", "Kernel", `${kernel}; 6.1 and newer report the alignment of Direct I/O`],
    liburing(report),
    ioUring(report),
    engineError === null
      ? [
        engine.engine === "io_uring" ? "ok" : "--",
        "Engine",
        `${engine.engine}: ${[engine.reason, ...engine.features].join("; ")}`,
      ]
      : ["!!", "Engine", `none: ${engineError}`],
    lockedMemory(report),
    missingPermissions.length === 0
      ? ["ok", "Permissions", "complete"]
      : ["!!", "Permissions", `missing: ${missingPermissions.join(" ")}`],
  ];
}

function liburing({ liburing: { loads, version, install } }: Report): Line {
  if (loads === null) return ["--", "liburing", "unknown (needs --allow-ffi)"];
  return loads
    ? ["ok", "liburing", version ?? "present (unknown version)"]
    : ["--", "liburing", `missing: ${install}`];
}

function ioUring({ ioUring }: Report): Line {
  if (ioUring.allowed) return ["ok", "io_uring", "allowed"];
  const why = ioUringObstacles(ioUring).map(([why]) => why);
  const state = ioUring.allowed === null ? "not tried" : "refused";
  return ["--", "io_uring", [state, ...why].join("; ")];
}

function lockedMemory(report: Report): Line {
  const { lockedMemory: bytes, engine } = report;
  const ring = engine.engine === "io_uring";
  const lacks = lacksRegistration(report);
  const about = !ring
    ? ""
    : lacks
    ? "; buffers are not registered with the ring, which costs some speed"
    : "; buffers are registered with the ring";
  const limit = bytes === null
    ? "unknown limit (needs --allow-all)"
    : bytes < 0
    ? "no limit"
    : `at most ${formatSize(bytes)}`;
  const isFine = bytes !== null && !(ring && lacks);
  return [isFine ? "ok" : "--", "Locked memory", `${limit}${about}`];
}

function pathFacts(report: Report): Line[] {
  const { alignment, atomicWrite, broken, error, kind, mount, path, tried } = report.probe;
  const isReadOnly = mount?.options.includes("ro");
  return [
    error === null
      ? [broken.length === 0 ? "ok" : "!!", "Path", `${path}: ${kind}, ${tried}`]
      : ["!!", "Path", `${path}: ${error}`],
    mount === null ? ["--", "File system", "unknown"] : [
      isReadOnly ? "--" : "ok",
      "File system",
      `${mount.type} (${mount.device} at ${mount.mountPoint}${isReadOnly ? ", read-only" : ""})`,
    ],
    alignment === null
      ? ["--", "Alignment", "unknown"]
      : ["ok", "Alignment", `${alignment.memory} in memory, ${alignment.offset} in the file`],
    atomicWrite === null
      ? ["--", "Untorn", "unknown"]
      : atomicWrite.max === 0
      ? ["--", "Untorn", "no atomic writes"]
      : ["ok", "Untorn", `atomic writes of ${atomicWrite.min} to ${atomicWrite.max} bytes`],
    directIo(report),
    fileEngine(report),
  ];
}

function fileEngine({ engine, probe }: Report): Line {
  if (probe.engine === null) return ["--", "File engine", "unknown"];
  const served = `: calls for files of ${probe.mount?.type ?? "this type"} may wait for its server`;
  return ["ok", "File engine", probe.engine + (probe.engine === engine.engine ? "" : served)];
}

function directIo({ kernel, probe: { direct, reason, mount, noCow } }: Report): Line {
  if (direct === null) return ["!!", "Direct I/O", "could not be tried"];
  if (!direct) {
    const why = reason ?? `${mount?.type ?? "the file system"} has none`;
    return ["--", "Direct I/O", `no, the page cache is used: ${why}`];
  }
  return copiesForChecksums(mount, kernel, noCow)
    ? ["--", "Direct I/O", "for reading; writes go through the page cache"]
    : ["ok", "Direct I/O", "yes"];
}
