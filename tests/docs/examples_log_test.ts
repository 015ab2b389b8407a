// The example of a write-ahead log, killed at random moments: all acknowledged records must be there afterwards.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { WriteAheadLog } from "../../examples/write_ahead_log.ts";
import { pause } from "../setup/command.ts";
import { joined } from "../support/bytes.ts";
import "../support/engine.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { type Example, testExample } from "./example.ts";

const ROUNDS = 5;

/** Longest time that a process may live, in milliseconds after its first acknowledgement. */
const LIFE = 250;

/** Appends until it is killed, at a random moment. Resolves to the numbers that were acknowledged. */
async function appendAndKill(example: Example): Promise<number[]> {
  const child = example.spawn(["append", "100000000"]);
  const errors = new Response(child.stderr).text();
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (text === "") pause(Math.random() * LIFE).then(() => child.kill("SIGKILL"));
    text += part;
  }
  assertEquals((await child.status).signal, "SIGKILL", await errors);
  return numbersIn(text);
}

/** The numbers that were acknowledged. The last line may be a part of one. */
function numbersIn(stdout: string): number[] {
  return stdout.split("\n").slice(0, -1).map(Number);
}

testExample("write_ahead_log", "has every acknowledged record after SIGKILL", async (example) => {
  let acknowledged = -1;
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const numbers = await appendAndKill(example);
    acknowledged = Math.max(acknowledged, ...numbers.slice(-1000));
    const records = (await example.succeeds(["recover"])).stdout.split("\n").slice(0, -1);
    count = records.length;
    assert(count > acknowledged, `${count} records, and ${acknowledged} was acknowledged`);
    const record = (id: number) => JSON.stringify({ id, item: "tea", grams: id % 1000 });
    const wrong = records.findIndex((text, id) => text !== record(id));
    assertEquals(wrong, -1, `Record ${wrong} is ${records[wrong]}`);
  }
  assertEquals(Math.min(...numbersIn((await example.succeeds(["append", "10"])).stdout)), count);
});

/** Opens a log, appends these records at once, and closes it. Resolves to the records that it had. */
async function append(path: string, texts: string[]): Promise<string[]> {
  const found: string[] = [];
  const take = (bytes: Uint8Array) => found.push(new TextDecoder().decode(bytes));
  const log = await WriteAheadLog.open(path, take);
  await Promise.all(texts.map((text) => log.append(new TextEncoder().encode(text))));
  await log.close();
  return found;
}

/** A change to a log of three records, and the number of records that remain. */
const damages: [what: string, damage: (bytes: Uint8Array) => Uint8Array, left: number][] = [
  ["is whole", (bytes) => bytes, 3],
  ["lacks its last byte", (bytes) => bytes.subarray(0, -1), 2],
  ["ends in a header", (bytes) => bytes.subarray(0, 8 + 3 + 5), 1],
  ["has a tail of zeros", (bytes) => joined(bytes, new Uint8Array(10_000)), 3],
  ["has another byte in a record", (bytes) => bytes.with(8 + 3 + 8, 0), 1],
  ["has another length in a header", (bytes) => bytes.with(0, 2), 0],
  ["has a length past all bounds", (bytes) => bytes.with(8 + 3 + 3, 255), 1],
  ["is empty", () => new Uint8Array(0), 0],
];

testInOneDirectory("A damaged log is cut where it is not whole", async (_dir, path) => {
  const records = ["one", "two", "three"];
  await append(path, records);
  const whole = await Deno.readFile(path);
  for (const [what, damage, count] of damages) {
    await Deno.writeFile(path, damage(whole));
    const left = records.slice(0, count);
    // As long as the second record: the old third record must not reappear behind this one.
    assertEquals(await append(path, ["new"]), left, `A log that ${what}`);
    assertEquals(await append(path, []), [...left, "new"], `A log that ${what}`);
  }
}, { bothEngines: false });

testInOneDirectory("A log has records of many lengths, and one process at a time", async (dir) => {
  const path = dir.file("log");
  const texts = Array.from({ length: 300 }, (_, id) => `${id}`.padEnd(id * 31 % 5000 + 3, "."));
  // A record may be longer than what is read at once.
  texts.splice(150, 0, "x".repeat(1024 ** 2));
  await append(path, texts);
  const log = await WriteAheadLog.open(path, () => {});
  for (const length of [0, 1024 ** 2 + 1]) {
    const says = `Cannot append ${length} bytes`;
    await assertRejects(() => log.append(new Uint8Array(length)), RangeError, says);
  }
  const record = new TextEncoder().encode("The last one");
  const position = await log.append(record) + 8;
  assertEquals((await Deno.readFile(path)).subarray(position, position + record.length), record);
  // It waits two seconds for the first one.
  await assertRejects(() => append(path, []), Deno.errors.Busy, "Another process has");
  await log.close();
  assertEquals(await append(path, []), [...texts, "The last one"]);
}, { bothEngines: false });
