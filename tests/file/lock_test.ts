// DmaFile.lock, tryLock and unlock: advisory locks, against other descriptors.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile, ioStats } from "../../mod.ts";
import { Errno, LOCK_UN } from "../../src/engine/linux.ts";
import { pause } from "../setup/command.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { fail, interpose } from "../support/engine.ts";
import { collectGarbage, descriptorsOf, untilCollected } from "../support/leaks.ts";

const { BadResource } = Deno.errors;

/** Registers a test of two descriptors of one file. The first may write. */
function testLock(name: string, fn: (one: DmaFile, other: DmaFile) => Promise<void>): void {
  testDirectAndCached(name, async (dir) => {
    await using one = await DmaFile.create(dir.file("file"));
    await using other = await DmaFile.open(dir.file("file"));
    await fn(one, other);
  });
}

testLock("Only shared locks stand together; a lock is shared by default", async (one, other) => {
  using plain = await Deno.open(one.path);
  const kinds = [true, false, undefined];
  const pairs = kinds.flatMap((first) => kinds.map((second) => [first, second]));
  for (const [first, second] of pairs) {
    const both = !first && !second;
    const what = `tryLock(${second}) beside lock(${first})`;
    await one.lock(first);
    assertEquals(await other.tryLock(second), both, what);
    await other.unlock();
    // Deno's own locks are the same ones.
    assertEquals(await plain.tryLock(second ?? false), both, what);
    await plain.unlock();
    // No lock hinders reading and writing.
    await Deno.writeTextFile(one.path, what);
    assertEquals((await other.readAt(0, 100)).length, what.length);
    await one.unlock();
    await one.unlock();
    assertEquals(await other.tryLock(second), true, what);
    await other.unlock();
  }
  // A descriptor never stands in its own way.
  for (const exclusive of [true, true, false]) await one.lock(exclusive, { signal: null! });
  // Calls take effect in their order, even if the first one is slow.
  using _ = interpose("lock", ({ operation: { operation }, pass }) => {
    setTimeout(pass, operation & LOCK_UN ? 50 : 0);
  });
  await Promise.all([one.unlock(), one.lock()]);
  const taken = [await other.tryLock(true), await other.tryLock(), await one.tryLock(true)];
  assertEquals(taken, [false, true, false]);
});

testLock("lock() waits until the lock is given back, and blocks no thread", async (one, other) => {
  await one.lock(true);
  let isHeld = true;
  const waiting = other.lock(true).then(() => assertEquals(isHeld, false));
  await pause(50);
  assert(ioStats().inFlight <= 1);
  await one.size();
  isHeld = false;
  await one.unlock();
  await waiting;
  // Any number may wait, and all get it.
  let holders = 0;
  const work = Array.from({ length: 20 }, async () => {
    await using file = await DmaFile.open(one.path);
    await file.lock(true);
    assertEquals(++holders, 1);
    await file.size();
    holders--;
  });
  await other.unlock();
  await Promise.all(work);
});

testLock("lock() waits until its signal is aborted, or its file closed", async (one, other) => {
  await one.lock(true);
  const reason = new Error("Not any longer");
  const controller = new AbortController();
  for (const milliseconds of [20, 0]) {
    const { signal } = controller;
    const waiting = other.lock(false, { signal }).catch((error) => error);
    // The second signal is aborted already.
    await pause(milliseconds);
    controller.abort(reason);
    assertStrictEquals(await waiting, reason);
  }
  await one.unlock();
  // The abort follows the call at once, when the lock is free.
  const late = new AbortController();
  const waiting = other.lock(false, { signal: late.signal }).catch((error) => error);
  late.abort(reason);
  assertStrictEquals(await waiting, reason);
  // The lock was not granted nevertheless.
  assertEquals(await one.tryLock(true), true);
  const says = "Invalid signal 1: it must be an AbortSignal";
  await assertRejects(() => other.lock(true, { signal: 1 as never }), TypeError, says);
  const closed = assertRejects(() => other.lock(true), BadResource, "lock '");
  await other.close();
  await closed;
});

testDirectAndCached("A lock is given back when close() resolves", async (_dir, path) => {
  await Deno.writeFile(path, new Uint8Array(1));
  for (let round = 0; round < 300; round++) {
    const file = await DmaFile.open(path, { write: true });
    await file.lock(true);
    await file.close();
    // Deno's own descriptor, without any time in between.
    using plain = Deno.openSync(path, { write: true });
    assertEquals(plain.tryLockSync(true), true, `round ${round}`);
  }
});

testLock("An exclusive lock may require write: true", async (one, other) => {
  // The error of NFS 4.
  using _ = fail("lock", Errno.EBADF);
  for (const [file, exclusive] of [[other, true], [other, false], [one, true]] as const) {
    const { message } = await assertRejects(() => file.tryLock(exclusive), BadResource);
    assertEquals(message.includes("write: true"), file === other && exclusive);
  }
});

testDirectAndCached("A lock holds until released, even of a dropped file", async (_dir, path) => {
  await using other = await DmaFile.create(path);
  const lockAndDrop = async (exclusive: boolean) => {
    const file = await DmaFile.open(path);
    assert(await file.tryLock(exclusive));
    return new WeakRef(file);
  };
  let dropped = await lockAndDrop(true);
  await collectGarbage();
  assertEquals(await other.tryLock(), false);
  // Without a lock it is collected, and its descriptor is closed.
  await dropped.deref()!.unlock();
  assert(await other.tryLock());
  await untilCollected(() => descriptorsOf(path) === 1);
  // So is one whose shared lock was lost to an attempt to make it exclusive.
  dropped = await lockAndDrop(false);
  assertEquals(await dropped.deref()!.tryLock(true), false);
  assert(await other.tryLock(true));
  await untilCollected(() => descriptorsOf(path) === 1);
});
