// Faults: short results, and operations that fail at random or from the k-th on.

import { Errno } from "../../../src/engine/linux.ts";
import type { OperationName } from "../../../src/engine/operation.ts";
import { EMFILE } from "./descriptors.ts";
import type { Random } from "../random.ts";

/** The target of a fault: an operation, or a non-blocking call. */
export type FaultTarget =
  | OperationName
  | "statNow"
  | "closeNow"
  | "lookUpNow"
  | "openWorkingDirectory"
  | "setFlags"
  | "realPath"
  | "acquire";

export interface Fate {
  /** The error number; 0 for success. */
  readonly errno: number;
  /** The maximum number of bytes that are done, also in a failure. */
  readonly most: number;
}

const ENFILE = 23;

const passing = [Errno.EINTR, Errno.EAGAIN, Errno.ENOMEM, Errno.ECANCELED];
const full = [Errno.ENOSPC, Errno.EDQUOT, Errno.EFBIG];

/** The errors of each target, with their weights. */
const candidates: readonly (readonly [
  weight: number,
  targets: readonly FaultTarget[],
  errnos: readonly number[],
])[] = [
  [8, ["write"], [Errno.EIO, ...full, ...passing]],
  [6, ["write", "allocate"], full],
  [6, ["read"], [Errno.EIO, ...passing]],
  [6, ["sync"], [Errno.EIO, Errno.ENOSPC, Errno.EDQUOT]],
  [4, ["truncate"], [Errno.EIO, Errno.EINTR, Errno.ENOSPC, Errno.EFBIG]],
  [4, ["allocate"], [...full, Errno.EINTR, Errno.EOPNOTSUPP, Errno.EIO]],
  [3, ["open"], [Errno.EACCES, EMFILE, ENFILE, Errno.ENOMEM, Errno.EIO, Errno.EINTR, Errno.ENOSPC]],
  [2, ["close"], [Errno.EIO, Errno.EINTR, Errno.ENOSPC]],
  [2, ["stat"], [Errno.ENOMEM, Errno.EIO, Errno.EINTR]],
  [1, ["statfs"], [Errno.EINTR, Errno.EIO]],
  [3, ["link"], [Errno.ENOSPC, Errno.EIO, Errno.EDQUOT, Errno.EACCES]],
  [3, ["rename"], [Errno.ENOSPC, Errno.EIO, Errno.EACCES]],
  [2, ["unlink"], [Errno.EIO, Errno.EACCES]],
  [3, ["copyRange"], [Errno.EIO, Errno.EINVAL, Errno.EXDEV, Errno.EINTR, Errno.ENOSPC]],
  [1, ["lock"], [Errno.EIO, Errno.EINTR]],
  [2, ["statNow"], [Errno.ENOMEM, Errno.EIO]],
  [2, ["lookUpNow"], [Errno.EAGAIN, Errno.EIO, EMFILE]],
  [1, ["openWorkingDirectory"], [EMFILE]],
  [1, ["setFlags"], [Errno.EINVAL]],
  [1, ["realPath"], [Errno.ENOENT]],
  [2, ["acquire"], [Errno.ENOMEM]],
  [2, ["read", "write", "sync", "truncate", "allocate", "open", "stat", "link"], [Errno.EIO]],
];

/** The maximum number of consecutive results without progress. Any kernel then makes progress, or fails. */
const MOST_STALLS = 3;

export class Faults {
  readonly #rules: FaultRule[] = [];
  #short = 0;
  #stalls = 0;
  /** The failures, with those that no rule has caused. */
  readonly happened: { readonly target: FaultTarget; readonly errno: number }[] = [];
  shortened = 0;

  /** No faults; or if `faulty` perhaps short results, and up to three kinds of failure. */
  constructor(readonly random: Random, faulty: boolean) {
    if (!faulty || random.chance(0.25)) return;
    this.#short = random.pick([0, 0, 0.1, 0.4]);
    const rules = random.weighted([[4, 0], [4, 1], [2, 2], [1, 3]]);
    for (let count = 0; count < rules; count++) this.#rules.push(drawRule(random));
  }

  cease(): void {
    this.#rules.length = 0;
    this.#short = 0;
  }

  hit(...targets: FaultTarget[]): boolean {
    return this.happened.some(({ target }) => targets.includes(target));
  }

  /** Whether a request for a size has failed, so that a cut may use the module's own knowledge. */
  get hideSizes(): boolean {
    return this.hit("statNow", "acquire");
  }

  /** The number of faults so far, including short results. */
  get count(): number {
    return this.happened.length + this.shortened;
  }

  /** The error number of a non-blocking call; 0 for success. */
  ofCall(target: FaultTarget): number {
    return this.#match(target)?.errno ?? 0;
  }

  /** The fate of an operation on so many bytes. */
  of(target: OperationName, length: number): Fate {
    const { random } = this;
    const rule = this.#match(target);
    if (rule) return { errno: rule.errno, most: rule.partial ? random.below(length + 1) : 0 };
    const transfers = target === "read" || target === "write" || target === "copyRange";
    if (!transfers || !random.chance(this.#short)) return { errno: 0, most: length };
    const part = random.below(length);
    const most = random.chance(0.5) ? part : part - part % 512;
    // A copy of no bytes would mean the end of its source.
    if (most < 4096 && (target === "copyRange" || ++this.#stalls > MOST_STALLS)) {
      this.#stalls = 0;
      return { errno: 0, most: length };
    }
    this.shortened++;
    return { errno: 0, most };
  }

  #match(target: FaultTarget): FaultRule | undefined {
    const failing = this.#rules.find((rule) => {
      if (!rule.targets.includes(target)) return false;
      rule.matched++;
      const isDue = rule.matched >= rule.from && rule.matched < rule.from + rule.count;
      return isDue && this.random.chance(rule.chance);
    });
    if (failing) this.happened.push({ target, errno: failing.errno });
    return failing;
  }
}

/** The index of the first failure: a program has many writes and few syncs. */
const FIRST = [1, 1, 2, 2, 3, 4, 6, 12];

function drawRule(random: Random) {
  const [targets, errnos] = random.weighted(
    candidates.map(([weight, ...rest]) => [weight, rest] as const),
  );
  const errno = random.pick(errnos);
  /** Whether a part of the operation is done nevertheless. */
  const partial = random.chance(0.5);
  const kind = random.below(4);
  /** The probability of a failure, each time. */
  const chance = kind === 0 ? random.pick([0.02, 0.1, 0.3]) : 1;
  /** The first matching operation that fails, and how many fail. */
  const from = kind === 0 ? 1 : random.pick(FIRST);
  const count = kind > 1 ? random.between(1, 3) : Infinity;
  return { targets, errno, partial, chance, from, count, matched: 0 };
}

type FaultRule = ReturnType<typeof drawRule>;
