// FUSE servers with each pair of flags that changes reads and writes, and with short, late or wrong answers.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { probe } from "../../cli/direct_probe.ts";
import { DmaFile, DmaStreamReader } from "../../mod.ts";
import { serverTest } from "../faults/machine.ts";
import { allOf, assertFile, pattern } from "../support/bytes.ts";
import { promises } from "./promises.ts";

const flags = ["cached", "no-async-dio", "serial", "writeback"];
const pairs = [
  [],
  ...flags.flatMap((one, at) => [[one], ...flags.slice(at + 1).map((two) => [one, two])]),
];

/** The faults of a server in every read and every write. */
const answers: Readonly<Record<string, readonly string[]>> = {
  "whole": [],
  "short": ["read short 5000", "write short 3001"],
  "late": ["read delay 3", "write delay 3"],
};

const kept = ["a file of odd length is whole, and no longer", "a reader gets no byte past the end"];

for (const pair of pairs) {
  for (const [answer, faults] of Object.entries(answers)) {
    const flags = pair.join(" and ") || "no flag";
    serverTest(`a server with ${flags} that answers ${answer} keeps all bytes`, async (server) => {
      for (const fault of faults) {
        // Through the page cache the kernel fills a short read with zeros, and fails a short asynchronous write.
        const cached = pair.includes("cached") && fault.includes("short");
        const fails = fault.startsWith("read") || !pair.includes("no-async-dio");
        if (!cached || !fails) await server.command(`fault ${fault}`);
      }
      for (const name of kept) await promises[name]!(`${server.path}/file`, server.path);
    }, pair);
  }
}

serverTest("a server that refuses writes out of order gets all bytes", async ({ path }) => {
  for (let round = 0; round < 5; round++) {
    const file = await DmaFile.create(`${path}/file`, { direct: "off" });
    const bytes = pattern(20 << 20);
    await new Blob([bytes]).stream().pipeTo(file.writable);
    await assertFile(file.path, bytes);
    await using target = await DmaFile.create(`${path}/target`);
    await target.writeAt(bytes, 0);
    await assertFile(target.path, bytes);
  }
}, ["in-order"]);

serverTest("a file whose length its server does not know is read whole", async (server) => {
  for (const size of [0, 100, 10_000, 3_000_001]) {
    await Deno.writeFile(`${server.backing}/file`, pattern(size));
    const path = `${server.path}/file`;
    await using file = await DmaFile.open(path);
    assertEquals(await file.size(), 0);
    await assertFile(path, pattern(size));
    for (const length of [100, 20_000, 1 << 20, 2 ** 40]) {
      const there = Math.min(length, Math.max(0, size - 3));
      assertEquals(await file.readAt(3, length), pattern(there, 3), `${length} of ${size}`);
    }
    const [last] = await Array.fromAsync(file.readMany([{ position: 5000, length: 1 << 22 }]));
    assertEquals(last!.bytes, pattern(Math.max(0, size - 5000), 5000));
    for (const [start, skipped] of [[0, 0], [99, 0], [5000, 0], [0, 7]] as const) {
      const stream = new DmaStreamReader(file, { start, closeFile: false });
      stream.skip(skipped);
      const first = start + skipped;
      assertEquals(await allOf(stream), pattern(Math.max(0, size - first), first));
    }
    await using copy = await DmaFile.create(`${server.backing}/copy`);
    assertEquals(await file.copyRangeTo(copy, 0, 2 ** 40, 0), size);
    await assertFile(copy.path, pattern(size));
    await Deno.remove(path);
  }
}, ["no-size"]);

serverTest("a tail is durable only after a sync that the server answers", async (server) => {
  const { writable } = await DmaFile.create(`${server.path}/file`);
  await writable.write(pattern(100));
  await writable.sync({ tail: true });
  // A server need not heed the flag of a durable write.
  await server.command("fault fsync err 5");
  await writable.write(pattern(100, 100));
  await assertRejects(() => writable.sync({ tail: true }), Error, "(os error 5): sync");
});

const doctor = "the doctor names what a server gets wrong";
serverTest(`${doctor}: the control`, async ({ path }) => {
  const { broken, error } = await probe(path);
  assertEquals([broken, error], [[], null]);
});

serverTest(doctor, async ({ path }) => {
  const { broken } = await probe(path);
  assertEquals(broken.length, 1, Deno.inspect(broken));
  assert(broken[0]?.what.startsWith("An atomic file has disappeared"), Deno.inspect(broken));
}, ["lose-renamed"]);
