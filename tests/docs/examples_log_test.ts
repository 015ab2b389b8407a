// The example of a write-ahead log, killed at random moments: all acknowledged records must be there afterwards.
// DMA_KILL_ROUNDS sets the number of rounds.

import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { WriteAheadLog } from "../../examples/write_ahead_log.ts";
import { assertNoFile, joined } from "../support/bytes.ts";
import "../support/engine.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { type Example, testExample } from "./examples/example.ts";

const rounds = Number(Deno.env.get("DMA_KILL_ROUNDS") ?? 5);

/** Longest time that a process may live, in milliseconds after its first acknowledgement. */
const LIFE = 250;

const record = (id: number) => JSON.stringify({ id, item: "tea", grams: id % 1000 });

/** Appends until it is killed, at a random moment. Resolves to the numbers that were acknowledged. */
async function appendAndKill(example: Example): Promise<number[]> {
  const child = example.spawn(["append", "100000000"]);
  const errors = new Response(child.stderr).text();
  let text = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    timer ??= setTimeout(() => child.kill("SIGKILL"), Math.random() * LIFE);
  }
  const { signal } = await child.status;
  clearTimeout(timer);
  assertEquals(signal, "SIGKILL", await errors);
  await errors;
  return numbersIn(text);
}

/** The numbers that were acknowledged. The last line may be a part of one. */
function numbersIn(stdout: string): number[] {
  return stdout.split("\n").slice(0, -1).map(Number);
}

testExample("write_ahead_log", "says what it can do, and does nothing else", async (example) => {
  for (const args of [[], ["apend", "10"], ["append"], ["append", "ten"]]) {
    const { code, stderr } = await example.run(args);
    assertEquals([code, stderr], [2, "Usage: write_ahead_log.ts append COUNT | recover\n"]);
  }
  await assertNoFile(example.file("orders.wal"));
});

testExample("write_ahead_log", "has every acknowledged record after SIGKILL", async (example) => {
  let acknowledged = -1;
  let tails = 0;
  let count = 0;
  const log = example.file("orders.wal");
  for (let round = 0; round < rounds; round++) {
    const numbers = await appendAndKill(example);
    assertGreater(numbers.length, 0);
    acknowledged = Math.max(acknowledged, ...numbers.slice(-1000));
    const { size } = await Deno.stat(log);
    const records = (await example.succeeds(["recover"])).stdout.split("\n").slice(0, -1);
    count = records.length;
    assertGreater(count, acknowledged);
    const wrong = records.findIndex((text, id) => text !== record(id));
    assertEquals(wrong, -1, `Record ${wrong} is ${records[wrong]}`);
    if ((await Deno.stat(log)).size < size) tails++;
  }
  // Otherwise the recovery would have nothing to do.
  assertGreater(tails, 0, "No process was killed with a tail of zeros behind its records");
  assertEquals(Math.min(...numbersIn((await example.succeeds(["append", "10"])).stdout)), count);
});

testExample("write_ahead_log", "shares syncs", async (example) => {
  const { stdout, stderr } = await example.succeeds();
  const numbers = numbersIn(stdout).sort((a, b) => a - b);
  assertEquals(numbers, Array.from({ length: 10_000 }, (_, id) => id));
  const operations = Number(/^10000 records, (\d+) writes and syncs$/m.exec(stderr)?.[1]);
  assert(operations >= 10_000 / 64 && operations < 1000, stderr);
});

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Opens a log. Resolves to the log and its records. */
async function reopen(path: string): Promise<{ log: WriteAheadLog; found: string[] }> {
  const found: string[] = [];
  const recovered = (bytes: Uint8Array) => found.push(new TextDecoder().decode(bytes));
  return { log: await WriteAheadLog.open(path, recovered), found };
}

const RECORDS = ["one", "two", "three"];

/** The bytes of a log with three records. */
async function three(path: string): Promise<Uint8Array> {
  const { log, found } = await reopen(path);
  assertEquals(found, []);
  await Promise.all(RECORDS.map((text) => log.append(bytesOf(text))));
  await log.close();
  return await Deno.readFile(path);
}

/** A change to a log of three records, and the number of records that remain. */
const damages: Record<string, [damage: (bytes: Uint8Array) => Uint8Array, left: number]> = {
  "is whole": [(bytes) => bytes, 3],
  "lacks its last byte": [(bytes) => bytes.subarray(0, -1), 2],
  "ends in a header": [(bytes) => bytes.subarray(0, 8 + 3 + 5), 1],
  "has a tail of zeros": [(bytes) => joined(bytes, new Uint8Array(10_000)), 3],
  "has another byte in a record": [(bytes) => bytes.with(8 + 3 + 8, 0), 1],
  "has another length in a header": [(bytes) => bytes.with(0, 2), 0],
  "has a length past all bounds": [(bytes) => bytes.with(8 + 3 + 3, 255), 1],
  "is empty": [() => new Uint8Array(0), 0],
};

for (const [what, [damage, count]] of Object.entries(damages)) {
  testInOneDirectory(`A log that ${what} is cut where it is not whole`, async (dir) => {
    const path = dir.file("log");
    const left = RECORDS.slice(0, count);
    await Deno.writeFile(path, damage(await three(path)));
    const { log, found } = await reopen(path);
    assertEquals(found, left);
    // As long as the second record: the old third record must not reappear behind this one.
    await log.append(bytesOf("new"));
    await log.close();
    const again = await reopen(path);
    assertEquals(again.found, [...left, "new"]);
    await again.log.close();
  }, { bothEngines: false });
}

testInOneDirectory("A record of a log may be longer than what is read at once", async (dir) => {
  const long = "x".repeat(1024 ** 2);
  const { log } = await reopen(dir.file("log"));
  await Promise.all(["before", long, "after"].map((text) => log.append(bytesOf(text))));
  await assertRejects(() => log.append(bytesOf(`${long}x`)), RangeError, "Cannot append 1048577");
  await assertRejects(() => log.append(new Uint8Array(0)), RangeError, "Cannot append 0 bytes");
  await log.close();
  const { log: again, found } = await reopen(dir.file("log"));
  await again.close();
  assertEquals(found, ["before", long, "after"]);
}, { bothEngines: false });

testInOneDirectory("Concurrent appends return the positions of their records", async (dir) => {
  const { log } = await reopen(dir.file("log"));
  const texts = Array.from({ length: 300 }, (_, id) => `${id}`.padEnd(id * 31 % 5000 + 3, "."));
  const positions = await Promise.all(texts.map((text) => log.append(bytesOf(text))));
  await log.close();
  const bytes = await Deno.readFile(dir.file("log"));
  for (const [id, text] of texts.entries()) {
    const record = bytes.subarray(positions[id]! + 8, positions[id]! + 8 + text.length);
    assertEquals(new TextDecoder().decode(record), text);
  }
}, { bothEngines: false });

testInOneDirectory("A log is refused to a second process", async (dir) => {
  const { log } = await reopen(dir.file("log"));
  await assertRejects(() => reopen(dir.file("log")), Deno.errors.Busy, "Another process has");
  await log.close();
  // It waits two seconds for the first one, which is enough on one file system.
}, { bothEngines: false });
