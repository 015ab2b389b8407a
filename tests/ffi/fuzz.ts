// Calls the C functions with numbers of every kind, right and wrong. Wrong ones are refused without an effect. [SEED]
import { openLiburing } from "../../ffi/liburing.ts";
import { loadShim } from "../../ffi/shim.ts";
import { Random } from "../simulator/random.ts";

const [seed = "1"] = Deno.args;
const EINVAL = 22;
const EBUSY = 16;
const MAX_EXACT = Number.MAX_SAFE_INTEGER;
const MAX_RW = 0x7fff_f000;
/** Operations that move bytes: read and write, with registered buffers and without. */
const MOVING = new Set([4, 5, 22, 23]);
/** fdatasync, ftruncate, fallocate, statx, read, write: without a descriptor none of them does anything. */
const HARMLESS = [3, 4, 5, 17, 22, 23, 55, 255, 256, 4095, 0xffff_ffff];

const EDGES = [0, 1, 512, 4096, 2 ** 31, 2 ** 32, 2 ** 53, MAX_EXACT, 2 ** 63, 2 ** 64, 1e300];
const UNSIGNED = [0, 1, 255, 256, 512, 4096, MAX_RW - 1, MAX_RW, MAX_RW + 1, 0xffff_ffff];

const shim = await loadShim();
const random = new Random(Number(seed));

function pick<T>(...values: T[]): T {
  return random.pick(values);
}

/** A number for an f64: addresses, lengths and positions. */
function real(): number {
  const edge = pick(...EDGES);
  const odd = pick(NaN, Infinity, -Infinity);
  return pick(edge, edge - 1, edge + 0.5, -edge, odd, random.below(2 ** 53), random.next() * 1e9);
}

/** A number for a u32. */
function unsigned(): number {
  return pick(...UNSIGNED, random.below(2 ** 32));
}

function isWhole(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_EXACT;
}

/** Whether the C functions must accept these numbers, by the same rule in TypeScript. */
function isAcceptable(opcode: number, address: number, length: number, offset: number): boolean {
  if (!isWhole(address) || !isWhole(offset)) return false;
  if (!MOVING.has(opcode)) return true;
  return address !== 0 && length > 0 && length <= MAX_RW && offset <= MAX_EXACT - length;
}

/** What happened how often: each of it must have. */
const seen = { refused: 0, mapped: 0, queued: 0, full: 0 };

function must(holds: boolean, what: string, ...values: unknown[]): void {
  if (!holds) throw new Error(`${what}: ${Deno.inspect(values)}, seed ${seed}`);
}

function fuzzCall(): void {
  const call = [pick(...HARMLESS), real(), unsigned(), real()] as const;
  const [opcode, ...place] = call;
  // The descriptor is -1, so a call that passes the checks ends with EBADF, or with ENOSYS for an unknown operation.
  const result = shim.dma_call(opcode, -1, ...place, 0);
  must(result < 0, "dma_call did something", call, result);
  if (isAcceptable(...call)) return;
  must(result === -EINVAL, "dma_call took what is wrong", call, result);
  seen.refused++;
}

function fuzzMapping(): void {
  const [address, length] = [real(), real()];
  // Addresses that might be real mappings are not released here.
  if (!isWhole(address) || !isWhole(length) || address === 0 || length === 0) {
    const result = shim.dma_unmap(address, length);
    must(result === -EINVAL, "dma_unmap took what is wrong", address, length);
  }
  const made = shim.dma_map(length, pick(0, 1));
  const isWrong = !isWhole(length) || length === 0;
  if (isWrong) must(made === -EINVAL, "dma_map took what is wrong", length, made);
  if (made < 0) return;
  must(made % 4096 === 0, "dma_map gave what is not aligned", length, made);
  must(shim.dma_unmap(made, length) === 0, "dma_unmap refused", made, length);
  seen.mapped++;
}

const ENTRIES = 64;

/** Adds an entry to a ring with `here` entries that is never submitted. Returns whether it was added. */
function fuzzEntry(ring: Deno.PointerObject, out: Deno.PointerObject, here: number): boolean {
  const [opcode, flags] = [pick(...HARMLESS), pick(0, 4, 16, 255, 256, unsigned())];
  // Half of the numbers are valid. Otherwise the queue would never fill.
  const place = random.chance(0.5)
    ? [4096 * unsigned(), pick(1, 512, MAX_RW), unsigned()] as const
    : [real(), unsigned(), real()] as const;
  const rest = [unsigned(), unsigned(), unsigned()] as const;
  const result = shim.dma_prepare(ring, opcode, flags, -1, ...place, ...rest);
  const right = opcode <= 255 && flags <= 255 && isAcceptable(opcode, ...place);
  const wanted = !right ? -EINVAL : here < ENTRIES ? 0 : -EBUSY;
  must(result === wanted, "dma_prepare", wanted, result, opcode, flags, place);
  must(shim.dma_reap(ring, out, pick(0, 1, 512)) === 0, "dma_reap found what was never submitted");
  if (result === 0) seen.queued++;
  if (result === -EBUSY) seen.full++;
  return result === 0;
}

for (let round = 0; round < 300_000; round++) fuzzCall();
for (let round = 0; round < 20_000; round++) fuzzMapping();
const memory = shim.dma_map(16 * 1024, 0);
const [ring, out] = [memory, memory + 8192].map((at) => Deno.UnsafePointer.create(BigInt(at))!);
const liburing = openLiburing();
for (let round = 0; round < 500; round++) {
  const result = liburing.io_uring_queue_init_params(ENTRIES, ring!, new Uint32Array(30));
  must(result >= 0, "No ring can be had", result);
  for (let here = 0, call = 0; call < 600; call++) here += Number(fuzzEntry(ring!, out!, here));
  liburing.io_uring_queue_exit(ring!);
}
for (const [what, count] of Object.entries(seen)) must(count > 0, `Never ${what}`);
console.log("done", seen);
