// DmaFile.lock, tryLock and unlock: advisory locks, against other descriptors and other processes.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile, ioStats } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { runChild } from "../support/child.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { interpose } from "../support/interpose.ts";
import { collectGarbage } from "../support/leaks.ts";
import "../support/engine.ts";

const { BadResource } = Deno.errors;
const module = new URL("../../mod.ts", import.meta.url).href;

testDirectAndCached("tryLock() tells whether another descriptor has the lock", async (dir) => {
  const cases = [[true, true, false], [true, false, false], [false, true, false], [
    false,
    false,
    true,
  ]];
  for (const [first, second, both] of cases as [boolean, boolean, boolean][]) {
    await using one = await DmaFile.create(dir.file("file"));
    await using other = await DmaFile.open(dir.file("file"));
    assertEquals(await one.tryLock(first), true);
    assertEquals(await other.tryLock(second), both, `${first} and ${second}`);
    await one.unlock();
    assertEquals(await other.tryLock(second), true);
  }
});

testDirectAndCached("A lock is shared unless exclusive is asked for", async (dir) => {
  await using one = await DmaFile.create(dir.file("file"));
  await using other = await DmaFile.open(dir.file("file"));
  await one.lock();
  assertEquals([await other.tryLock(), await other.tryLock(true)], [true, false]);
});

testDirectAndCached("A descriptor never stands in its own way", async (dir) => {
  await using one = await DmaFile.create(dir.file("file"));
  await using other = await DmaFile.open(dir.file("file"));
  await one.lock(true);
  await one.lock(true);
  await one.lock(false);
  assertEquals(await other.tryLock(), true);
  assertEquals(await one.tryLock(true), false);
  await one.unlock();
  await one.unlock();
  assertEquals(await other.tryLock(true), true);
});

testDirectAndCached("lock() waits until the lock is given back", async (dir) => {
  await using one = await DmaFile.create(dir.file("file"));
  await using other = await DmaFile.open(dir.file("file"));
  await one.lock(true);
  let locked = false;
  const waiting = other.lock(true).then(() => locked = true);
  const { inFlight } = ioStats();
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    assertEquals(locked, false);
    // Nobody is parked in the kernel: others get their work done meanwhile.
    assert(ioStats().inFlight <= inFlight + 1);
    await one.size();
  }
  await one.unlock();
  await waiting;
  assertEquals(await one.tryLock(), false);
});

testDirectAndCached("Any number may wait for one lock, and all get it", async (dir) => {
  const path = dir.file("file");
  await using first = await DmaFile.create(path);
  await first.lock(true);
  let holders = 0;
  const work = Array.from({ length: 20 }, async () => {
    await using file = await DmaFile.open(path);
    await file.lock(true);
    assertEquals(++holders, 1);
    await file.size();
    holders--;
  });
  await first.unlock();
  await Promise.all(work);
});

testDirectAndCached("lock() that waits rejects when its file is closed", async (dir) => {
  await using one = await DmaFile.create(dir.file("file"));
  await using other = await DmaFile.open(dir.file("file"));
  await one.lock(true);
  const waiting = assertRejects(() => other.lock(), BadResource, "lock '");
  await other.close();
  await waiting;
  await one.close();
  await assertRejects(() => one.lock(), BadResource, "the file is closed");
  await assertRejects(() => one.tryLock(), BadResource, "the file is closed");
  await assertRejects(() => one.unlock(), BadResource, "the file is closed");
});

testDirectAndCached("A lock stands against Deno's own, and the other way round", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  using plain = await Deno.open(file.path);
  await file.lock(true);
  assertEquals(await plain.tryLock(false), false);
  await file.unlock();
  await plain.lock(true);
  assertEquals(await file.tryLock(), false);
});

testDirectAndCached("A lock does not keep anybody from reading or writing", async (dir) => {
  await using one = await DmaFile.create(dir.file("file"));
  await using other = await DmaFile.open(dir.file("file"));
  await one.lock(true);
  await Deno.writeTextFile(dir.file("file"), "words");
  assertEquals(await other.readAt(0, 10), new TextEncoder().encode("words"));
});

testDirectAndCached("A lock stands against other processes", async (dir) => {
  const path = dir.file("file");
  await using file = await DmaFile.create(path);
  const code = `
    await using file = await dma.DmaFile.open(${JSON.stringify(path)});
    console.log(await file.tryLock(true), await file.tryLock(false));`;
  const tried = async () => (await runChild(code)).output;
  assertEquals(await tried(), "true true");
  await file.lock();
  assertEquals(await tried(), "false true");
  await file.lock(true);
  assertEquals(await tried(), "false false");
  await file.unlock();
  assertEquals(await tried(), "true true");
});

testDirectAndCached("A process that is killed gives its lock back", async (dir) => {
  const path = dir.file("file");
  await using file = await DmaFile.create(path);
  const code = `
    import { DmaFile } from ${JSON.stringify(module)};
    const file = await DmaFile.open(${JSON.stringify(path)});
    await file.lock(true);
    console.log("locked");
    setInterval(() => file.size(), 1000);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", "--no-lock", "--quiet", code],
    stdout: "piped",
  }).spawn();
  const output = child.stdout.getReader();
  assertEquals(new TextDecoder().decode((await output.read()).value), "locked\n");
  assertEquals(await file.tryLock(), false);
  const waiting = file.lock(true);
  child.kill("SIGKILL");
  await waiting;
  await eventually(() => file.tryLock(true));
  await child.status;
  await output.cancel();
});

testDirectAndCached("lock() waits until its signal is aborted", async (dir) => {
  await using one = await DmaFile.create(dir.file("file"));
  await using other = await DmaFile.open(dir.file("file"));
  await one.lock(true);
  const reason = new Error("Not any longer");
  await assertRejects(
    () => other.lock(true, { signal: AbortSignal.abort(reason) }),
    Error,
    "Not any longer",
  );
  const controller = new AbortController();
  const waiting = other.lock(false, { signal: controller.signal }).catch((error) => error);
  await new Promise((resolve) => setTimeout(resolve, 20));
  controller.abort(reason);
  assertStrictEquals(await waiting, reason);
  await one.unlock();
  // It was not given in spite of that.
  assertEquals(await one.tryLock(true), true);
  await one.unlock();
  const { signal } = new AbortController();
  await other.lock(true, { signal });
  assertEquals(await one.tryLock(), false);
  await assertRejects(
    () => other.lock(true, { signal: 1 as unknown as AbortSignal }),
    TypeError,
    "Invalid signal 1: it must be an AbortSignal",
  );
});

testDirectAndCached("A lock is given back by the time that close() resolves", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, new Uint8Array(1));
  for (let round = 0; round < 300; round++) {
    const file = await DmaFile.open(path, { write: true });
    await file.lock(true);
    await file.close();
    // Deno's own descriptor, without any time in between.
    const plain = Deno.openSync(path, { write: true });
    assertEquals(plain.tryLockSync(true), true, `round ${round}`);
    plain.close();
  }
});

testDirectAndCached(
  "An exclusive lock for which a file must be open for writing says so",
  async (dir) => {
    await using one = await DmaFile.create(dir.file("file"));
    await using other = await DmaFile.open(dir.file("file"));
    // As NFS 4 answers.
    using _ = interpose("lock", ({ end }) => end(-Errno.EBADF));
    const exclusive = await assertRejects(() => other.tryLock(true), BadResource);
    assertEquals(exclusive.message.includes("write: true"), true, exclusive.message);
    for (const refused of [() => other.tryLock(), () => one.tryLock(true)]) {
      const { message } = await assertRejects(refused, BadResource);
      assertEquals(message.includes("write: true"), false, message);
    }
  },
);

testDirectAndCached("A lock holds until it is given back, whoever holds the file", async (dir) => {
  const path = dir.file("file");
  await using other = await DmaFile.create(path);
  const lockAndDrop = async () => {
    const file = await DmaFile.open(path);
    assert(await file.tryLock(true));
    return new WeakRef(file);
  };
  const dropped = await lockAndDrop();
  await collectGarbage();
  assertEquals(await other.tryLock(), false);
  // Without a lock it is collected, and its descriptor is closed.
  await dropped.deref()!.unlock();
  assert(await other.tryLock());
  await eventually(async () => {
    await collectGarbage();
    return descriptorsOf(path) === 1;
  });
});
