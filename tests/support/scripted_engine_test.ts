// The scripted engine itself: a fake that forgives would make every test that uses it worthless.

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { run } from "../../src/engine/engine.ts";
import { AT_FDCWD, O_CREAT } from "../../src/engine/linux.ts";
import type { Operation } from "../../src/engine/operation.ts";
import { ScriptedEngine, turn } from "./scripted_engine.ts";
import { randomPlan } from "./scripted_operation.ts";

/** An engine with a file and a page of memory full of ones. */
function start(options = {}) {
  const engine = new ScriptedEngine(options);
  const fd = engine.create();
  const block = engine.acquire(4096);
  block.bytes.fill(1);
  const results: number[] = [];
  const done = { complete: (result: number) => void results.push(result) };
  const write = (position: number, length: number, offset = 0) =>
    engine.submit(
      { op: "write", fd, memory: block, offset, length, position, buffered: false, flags: 0 },
      done,
    );
  return { engine, fd, block, results, done, write };
}

function assertViolates(engine: ScriptedEngine, words: string, fn: () => void): void {
  assertThrows(fn, Error, words);
  assertThrows(() => engine.assertSound(), Error, words);
}

Deno.test("ScriptedEngine does nothing before an operation is ended", async () => {
  const { engine, fd, results, write } = start();
  write(0, 512);
  await turn();
  assertEquals([results, engine.file(fd).size], [[], 0]);
  engine.complete(engine.only("write"));
  assertEquals([results, engine.file(fd).size], [[512], 512]);
});

Deno.test("ScriptedEngine ends operations early, and fails them after a part was done", () => {
  const { engine, fd, results, write, done } = start();
  write(0, 1024);
  engine.shorten(engine.only("write"), 700);
  write(1024, 512);
  engine.fail(engine.only("write"), 28, 100);
  engine.submit({ op: "allocate", fd, mode: 0, position: 0, length: 5000 }, done);
  engine.fail(engine.only("allocate"), 28, 2000);
  assertEquals([results, engine.file(fd).size], [[700, -28, -28], 2000]);
  assertEquals(engine.file(fd).content(1020, 1130).filter((byte) => byte === 1).length, 100);
});

Deno.test("ScriptedEngine calls durable what was there when a sync was queued", () => {
  const { engine, fd, write, done } = start();
  write(0, 512);
  engine.complete(engine.only("write"));
  engine.submit({ op: "sync", fd, dataOnly: true }, done);
  write(512, 512);
  engine.complete(engine.only("write"));
  assertEquals(engine.file(fd).durable.length, 0);
  engine.complete(engine.only("sync"));
  assertEquals([engine.file(fd).durable.length, engine.file(fd).size], [512, 1024]);
});

Deno.test("ScriptedEngine gives the same results again for the same seed", async () => {
  const runs = [7, 7, 8].map(async (seed) => {
    const { engine, write, results } = start();
    for (let at = 0; at < 4096; at += 512) write(at, 512, at);
    engine.automatic(randomPlan(seed, { short: 0.5, fail: 0.2 }));
    while (engine.pending.length > 0) await turn();
    return JSON.stringify([engine.log, results]);
  });
  const [first, second, third] = await Promise.all(runs);
  assertEquals(first, second);
  assertEquals(first === third, false);
});

Deno.test("ScriptedEngine names the seed when automatic operations break a rule", async () => {
  const { engine, write, block } = start();
  engine.automatic(randomPlan(4711));
  write(0, 512);
  while (engine.pending.length > 0) await turn();
  engine.release(block);
  assertThrows(() => write(0, 512), Error, "(seed 4711)");
});

Deno.test("ScriptedEngine says what is in flight when a promise hangs", async () => {
  const { engine, fd } = start();
  const never = new Promise<void>(() => {});
  const written = run(engine, { op: "sync", fd, dataOnly: true });
  const hung = await engine.settled(never).catch((error) => error.message);
  assertStringIncludes(hung, "A promise hangs; in flight: sync");
  await engine.drive(written);
  const still = await engine.drive(never).catch((error) => error.message);
  assertStringIncludes(still, "A promise hangs; in flight: nothing");
});

Deno.test("ScriptedEngine does not forgive positions, lengths and offsets that are not aligned", () => {
  for (const [position, length, offset] of [[1, 512, 0], [0, 511, 0], [0, 512, 8], [0, 0, 0]]) {
    const { engine, write } = start();
    assertViolates(engine, "write", () => write(position!, length!, offset!));
  }
});

Deno.test("ScriptedEngine does not forgive two writes on one block, nor one too many", () => {
  const { engine, write } = start();
  write(0, 1024);
  assertViolates(engine, "shares a block", () => write(512, 512));
  const few = start({ writeBehind: 2 });
  few.write(0, 512);
  few.write(512, 512);
  assertViolates(few.engine, "while 2 writes are in flight", () => few.write(1024, 512));
});

Deno.test("ScriptedEngine does not forgive what is done to memory in flight", () => {
  const { engine, block, write } = start();
  assertViolates(engine, "goes past its 4096 bytes", () => write(0, 4096, 512));
  write(0, 512);
  block.bytes[511] = 2;
  assertThrows(() => engine.complete(engine.only("write")), Error, "Byte 511");
  const freed = start();
  freed.write(0, 512);
  assertViolates(freed.engine, "given back in flight", () => freed.engine.release(freed.block));
  const twice = start();
  twice.engine.release(twice.block);
  assertViolates(twice.engine, "given back twice", () => twice.engine.release(twice.block));
  assertThrows(() => twice.write(0, 512), Error, "memory that was given back");
});

Deno.test("ScriptedEngine does not forgive what comes at the wrong time", () => {
  const { engine, fd, write, done } = start();
  write(0, 512);
  assertViolates(
    engine,
    "truncate 0 while write",
    () => engine.submit({ op: "truncate", fd, length: 0 }, done),
  );
  const closing = start();
  closing.write(0, 512);
  assertViolates(
    closing.engine,
    "close while",
    () => closing.engine.submit({ op: "close", fd: closing.fd }, done),
  );
  const closed = start();
  closed.engine.submit({ op: "close", fd: closed.fd }, done);
  closed.engine.completeAll();
  assertViolates(closed.engine, "on a closed descriptor", () => closed.write(0, 512));
  const synced = start();
  const sync = () => synced.engine.submit({ op: "sync", fd: synced.fd, dataOnly: true }, done);
  sync();
  synced.engine.fail(synced.engine.only("sync"), 5);
  assertViolates(synced.engine, "after one that failed", sync);
});

Deno.test("ScriptedEngine knows what was not given back", () => {
  const { engine, block } = start();
  assertThrows(() => engine.assertIdle(), Error, "4096 bytes");
  engine.release(block);
  engine.assertIdle();
});

Deno.test("ScriptedEngine opens, reads, links, renames and removes files by name", async () => {
  const { engine, block, fd } = start();
  const act = (operation: Operation) => engine.drive(run(engine, operation));
  const open = (flags: number) =>
    act({ op: "open", directory: AT_FDCWD, name: "a", flags, mode: 0 });
  assertEquals(await open(0), -2);
  const opened = await open(O_CREAT);
  const transfer = { fd: opened, memory: block, offset: 0, position: 0 };
  await act({ op: "write", ...transfer, length: 512, buffered: false, flags: 0 });
  assertEquals(await act({ op: "read", ...transfer, length: 1024 }), 512);
  const at = { directory: AT_FDCWD };
  assertEquals(await act({ op: "link", ...at, fd, byProc: true, name: "a" }), -17);
  const target = { targetDirectory: AT_FDCWD, targetName: "b" };
  assertEquals(await act({ op: "rename", ...at, name: "a", ...target }), 0);
  assertEquals([...engine.names.keys()], ["b"]);
  assertEquals(engine.realPath(opened), "b");
  assertEquals(await act({ op: "unlink", ...at, name: "b" }), 0);
  assertEquals(await act({ op: "close", fd: opened }), 0);
});
