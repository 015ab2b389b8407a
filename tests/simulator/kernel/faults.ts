// What goes wrong: results that are short, operations that fail by chance, or from the k-th on.

import { Errno } from "../../../src/engine/linux.ts";
import type { OperationName } from "../../../src/engine/operation.ts";
import { EMFILE } from "./descriptors.ts";
import type { Random } from "../random.ts";

/** What can fail: an operation, or a call that does not block. */
export type FaultTarget =
  | OperationName
  | "statNow"
  | "openDirectoryNow"
  | "openWorkingDirectory"
  | "setFlags"
  | "realPath"
  | "acquire";

/** One thing that goes wrong. */
interface FaultRule {
  readonly targets: readonly FaultTarget[];
  readonly errno: number;
  /** How likely it is, each time. */
  readonly chance: number;
  /** The first one that fails, of those that match, and how many do. */
  readonly from: number;
  readonly count: number;
  /** Whether a part of it is done all the same. */
  readonly partial: boolean;
  matched: number;
}

/** What becomes of an operation. */
export interface Fate {
  /** 0: it succeeds. */
  readonly errno: number;
  /** The most bytes that it does, also where it fails. */
  readonly most: number;
}

/** A fault that came about. */
interface Fault {
  readonly target: FaultTarget;
  readonly errno: number;
}

const EDQUOT = 122;
const ENFILE = 23;

/** Errors that another attempt may not meet. */
const passing = [Errno.EINTR, Errno.EAGAIN, Errno.ENOMEM, Errno.ECANCELED];
const full = [Errno.ENOSPC, EDQUOT, Errno.EFBIG];

/** What each target fails with, and how often it is chosen. */
const candidates: readonly (readonly [
  weight: number,
  targets: readonly FaultTarget[],
  errnos: readonly number[],
])[] = [
  [8, ["write"], [Errno.EIO, ...full, ...passing]],
  [6, ["write", "allocate"], full],
  [6, ["read"], [Errno.EIO, ...passing]],
  [6, ["sync"], [Errno.EIO, Errno.ENOSPC, EDQUOT]],
  [4, ["truncate"], [Errno.EIO, Errno.EINTR, Errno.ENOSPC, Errno.EFBIG]],
  [4, ["allocate"], [...full, Errno.EINTR, Errno.EOPNOTSUPP, Errno.EIO]],
  [3, ["open"], [Errno.EACCES, EMFILE, ENFILE, Errno.ENOMEM, Errno.EIO, Errno.EINTR, Errno.ENOSPC]],
  [2, ["close"], [Errno.EIO, Errno.EINTR, Errno.ENOSPC]],
  [2, ["stat"], [Errno.ENOMEM, Errno.EIO, Errno.EINTR]],
  [1, ["statfs"], [Errno.EINTR, Errno.EIO]],
  [3, ["link"], [Errno.ENOSPC, Errno.EIO, EDQUOT, Errno.EACCES]],
  [3, ["rename"], [Errno.ENOSPC, Errno.EIO, Errno.EACCES]],
  [2, ["unlink"], [Errno.EIO, Errno.EACCES]],
  [3, ["copyRange"], [Errno.EIO, Errno.EINVAL, Errno.EXDEV, Errno.EINTR, Errno.ENOSPC]],
  [1, ["lock"], [Errno.EIO, Errno.EINTR]],
  [2, ["statNow"], [Errno.ENOMEM, Errno.EIO]],
  [2, ["openDirectoryNow"], [Errno.EAGAIN, Errno.EIO, EMFILE]],
  [1, ["openWorkingDirectory"], [EMFILE]],
  [1, ["setFlags"], [Errno.EINVAL]],
  [1, ["realPath"], [Errno.ENOENT]],
  [2, ["acquire"], [Errno.ENOMEM]],
  [2, ["read", "write", "sync", "truncate", "allocate", "open", "stat", "link"], [Errno.EIO]],
];

/** So many results in a row that bring nothing: any kernel gets on in the end, or fails. */
const MOST_STALLS = 3;

export class Faults {
  readonly #random: Random;
  readonly #rules: FaultRule[] = [];
  #short = 0;
  #stalls = 0;
  /** What failed. */
  readonly happened: Fault[] = [];
  /** Results that were short. */
  shortened = 0;

  private constructor(random: Random) {
    this.#random = random;
  }

  /** Nothing goes wrong. */
  static none(random: Random): Faults {
    return new Faults(random);
  }

  /** Nothing, or short results, or up to three kinds of failure. */
  static draw(random: Random): Faults {
    const faults = new Faults(random);
    if (random.chance(0.25)) return faults;
    faults.#short = random.pick([0, 0, 0.1, 0.4]);
    const rules = random.weighted([[4, 0], [4, 1], [2, 2], [1, 3]]);
    for (let count = 0; count < rules; count++) faults.#rules.push(drawRule(random));
    return faults;
  }

  /** Ends all faults: what is left to do shall succeed. */
  cease(): void {
    this.#rules.length = 0;
    this.#short = 0;
  }

  /** Whether any of these failed. */
  hit(...targets: FaultTarget[]): boolean {
    return this.happened.some(({ target }) => targets.includes(target));
  }

  /** Faults that came about so far, results that were short included. */
  get count(): number {
    return this.happened.length + this.shortened;
  }

  /** Something failed that no rule made fail. */
  note(fault: Fault): void {
    this.happened.push(fault);
  }

  /** The error number of a call that does not block; 0 where it succeeds. */
  ofCall(target: FaultTarget): number {
    return this.#match(target)?.errno ?? 0;
  }

  /** What becomes of an operation on so many bytes. */
  of(target: OperationName, length: number): Fate {
    const rule = this.#match(target);
    if (rule) {
      return { errno: rule.errno, most: rule.partial ? this.#random.below(length + 1) : 0 };
    }
    const transfers = target === "read" || target === "write" || target === "copyRange";
    if (!transfers || !this.#random.chance(this.#short)) return { errno: 0, most: length };
    const part = this.#random.below(length);
    const most = this.#random.chance(0.5) ? part : part - part % 512;
    // A copy that brings nothing has come to the end of its source.
    if (most < 4096 && (target === "copyRange" || ++this.#stalls > MOST_STALLS)) {
      this.#stalls = 0;
      return { errno: 0, most: length };
    }
    this.shortened++;
    return { errno: 0, most };
  }

  #match(target: FaultTarget): FaultRule | undefined {
    for (const rule of this.#rules) {
      if (!rule.targets.includes(target)) continue;
      rule.matched++;
      const due = rule.matched >= rule.from && rule.matched < rule.from + rule.count;
      if (!due || !this.#random.chance(rule.chance)) continue;
      this.happened.push({ target, errno: rule.errno });
      return rule;
    }
    return undefined;
  }
}

/** Which one fails first: a program has many writes, and few syncs. */
const FIRST = [1, 1, 2, 2, 3, 4, 6, 12];

function drawRule(random: Random): FaultRule {
  const [, targets, errnos] = random.pick(
    candidates.flatMap((each) => new Array<typeof each>(each[0]).fill(each)),
  );
  const errno = random.pick(errnos);
  const partial = random.chance(0.5);
  const rule = { targets, errno, partial, matched: 0, chance: 1, from: 1, count: Infinity };
  switch (random.below(4)) {
    case 0:
      return { ...rule, chance: random.pick([0.02, 0.1, 0.3]) };
    case 1:
      return { ...rule, from: random.pick(FIRST) };
    default:
      return { ...rule, from: random.pick(FIRST), count: random.between(1, 3) };
  }
}
