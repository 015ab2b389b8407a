// Transfers that the kernel shortens, interrupts or refuses temporarily, and truncates beside them, on an engine that the tests
// control.

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { DmaError } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { reserveSpace } from "../../src/file/allocate.ts";
import { truncateTo } from "../../src/file/cut.ts";
import { fileSystemOf } from "../../src/file/file_system.ts";
import { readRange, writeBytes } from "../../src/file/random_access.ts";
import { statNow } from "../../src/file/stat.ts";
import { pattern } from "../support/bytes.ts";
import { type Held, openScripted, ScriptedEngine, turn } from "../support/scripted_engine.ts";

/** A file of 5,000 bytes in blocks of 512. */
function open(requiresDirect = false) {
  return openScripted({ content: pattern(5000), requiresDirect });
}

/** Ends each attempt by `end` until there is none. Returns the number of attempts, and the pauses between them. */
async function attempts(
  engine: ScriptedEngine,
  kind: "read" | "write",
  end: (operation: Held, attempt: number) => void,
): Promise<{ count: number; pauses: number[] }> {
  const pauses: number[] = [];
  for (let count = 0;; count++) {
    await turn();
    for (const pause of engine.pendingOf("pause")) {
      const { operation } = pause;
      if (operation.op === "pause") pauses.push(operation.milliseconds);
      engine.complete(pause);
    }
    if (engine.pendingOf(kind).length === 0) return { count, pauses };
    assert(count < 1000, "It is tried for ever");
    end(engine.only(kind), count);
  }
}

const passing = [Errno.EINTR, Errno.EAGAIN, Errno.ENOMEM, Errno.ECANCELED];

for (const kind of ["read", "write"] as const) {
  Deno.test(`A ${kind} that ends with a temporary error is tried again, and then fails`, async () => {
    for (const errno of passing) {
      const { engine, file } = open();
      const work = kind === "read"
        ? readRange(file, 100, 200)
        : writeBytes(file, pattern(1024), 512).then(() => pattern(200, 100));
      const { count, pauses } = await attempts(engine, kind, (operation, attempt) => {
        engine.complete(operation, attempt < 4 ? -errno : undefined);
      });
      assertEquals(await engine.drive(work), pattern(200, 100));
      // The second attempt comes at once, the third and those after it wait.
      assertEquals([count, pauses], [5, [1, 2, 4]]);
      const wrong = kind === "read" ? readRange(file, 0, 4096) : writeBytes(file, pattern(4096), 0);
      const failed = assertRejects(() => wrong, Error, `the ${kind} stops at 1024`);
      const { count: all } = await attempts(engine, kind, (operation, attempt) => {
        engine.complete(operation, attempt === 0 ? 1024 : -errno);
        for (const stat of engine.pendingOf("stat")) engine.complete(stat);
      });
      assertEquals([(await failed as DmaError).errno, all], [errno, 9]);
      engine.assertIdle();
    }
  });
}

Deno.test("Progress gives a transfer all its attempts again, and other errors none", async () => {
  const { engine, file } = open();
  const work = writeBytes(file, pattern(8192), 0);
  await attempts(engine, "write", (operation, attempt) => {
    engine.complete(operation, attempt % 6 === 5 ? 512 : -Errno.EAGAIN);
  });
  await engine.drive(work);
  assertEquals(engine.file(file.fd).read(0, Infinity), pattern(8192));
  for (const errno of [Errno.EIO, Errno.ENOSPC, Errno.EBADF]) {
    const work = readRange(file, 0, 512);
    const failed = assertRejects(() => work, Error, `(os error ${errno}): read 'scripted'`);
    const { count } = await attempts(engine, "read", (read) => engine.complete(read, -errno));
    await failed;
    assertEquals(count, 1);
  }
});

Deno.test("Direct I/O that is refused only by a transfer is given up, once, unless it is required", async () => {
  const left = open();
  const { engine, file } = left;
  const flags: number[] = [];
  Object.assign(engine, { setFlags: (_: number, given: number) => flags.push(given) * 0 });
  // Both are in flight when the first one is refused.
  const write = (position: number) => writeBytes(file, pattern(512, position), position);
  const work = Promise.all([write(0), write(512)]);
  await turn();
  for (const held of engine.pendingOf("write")) engine.complete(held, -Errno.EINVAL);
  await engine.drive(work);
  assertEquals(engine.file(file.fd).read(0, 1024), pattern(1024));
  assertEquals([file.direct, flags], [false, [0]], "O_DIRECT is taken off once");
  const required = open(true);
  const says = "(os error 22): write 'scripted': Direct I/O is required, and refused";
  for (const [opened, message] of [[left, "(os error 22)"], [required, says]] as const) {
    const refused = assertRejects(() => writeBytes(opened.file, pattern(512), 0), Error, message);
    const { count } = await attempts(opened.engine, "write", (held) => {
      opened.engine.complete(held, -Errno.EINVAL);
    });
    await refused;
    assertEquals(count, 1);
  }
  assertEquals(required.file.direct, true);
});

Deno.test("A read of a file that was cut meanwhile returns the remaining bytes", async () => {
  const { engine, file } = open();
  const work = readRange(file, 0, 4096);
  await turn();
  engine.complete(engine.only("read"), 3000);
  engine.file(file.fd).truncate(700);
  assertEquals(await engine.drive(work), pattern(700));
});

Deno.test("A reservation that fails is cut to the length from when it began", async () => {
  const { engine, file } = openScripted({ content: pattern(20_000) });
  const truncating = file.descriptor.use("truncate", () => truncateTo(file, 100));
  const reserving = reserveSpace(file, 2 ** 40, false);
  engine.complete(engine.only("truncate"));
  await turn();
  engine.file(file.fd).extend(70_000);
  engine.complete(engine.only("allocate"), -Errno.ENOSPC);
  await truncating;
  await assertRejects(() => engine.drive(reserving), Error, "No space left");
  assertEquals(engine.file(file.fd).size, 100);
});

Deno.test("Any number of writes may be under way where one fails", () => {
  const { file } = open();
  for (let end = 1; end <= 300_000; end++) file.length.beginWrite(end);
  file.length.endWrite(300_000, false);
  assertEquals(file.length.sizeUpperBound, 299_999);
});

Deno.test("An unknown file system is trusted with nothing", async () => {
  const engine = new ScriptedEngine();
  const handle = { engine, fd: engine.create(), path: "x" };
  // Neither the device nor the type is known.
  const facts = { ...statNow(handle), deviceMajor: 0 };
  const { keepsUnnamed, cutsDirty, reserves, syncsWrites, onThreads } = await engine.drive(
    fileSystemOf(handle, facts),
  );
  assertEquals([keepsUnnamed, cutsDirty, reserves, syncsWrites], [false, false, false, false]);
  assertEquals(onThreads, true);
});
