// writer.nextPos: where the next chunk will stand, so that a log knows the position of each record.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { joined, pattern } from "../support/bytes.ts";
import { testDirectAndCached } from "../support/dirs.ts";

testDirectAndCached(
  "nextPos is where each of many concurrent writes ends up, unlike currentPos",
  async (dir) => {
    const path = dir.file("log");
    await Deno.writeFile(path, pattern(700));
    const file = await DmaFile.open(path, { write: true });
    const writer = new DmaStreamWriter(file, {
      append: true,
      bufferSize: 4096,
      writeBehind: 1,
    });
    await writer.write(new Uint8Array(0));
    const records = Array.from({ length: 200 }, (_, index) => pattern(index * 7 + 1, index));
    const stands: number[] = [];
    let differs = false;
    const writes = records.map((record) => {
      stands.push(writer.nextPos);
      differs ||= writer.nextPos !== writer.currentPos;
      return writer.write(record);
    });
    await Promise.all(writes);
    assert(differs, "No write had to wait: currentPos would have been right as well");
    assertEquals(writer.nextPos, writer.currentPos);
    await writer.close();
    assertEquals(writer.nextPos, 700 + joined(...records).length);
    const bytes = await Deno.readFile(path);
    for (const [index, record] of records.entries()) {
      const found = bytes.subarray(stands[index]!, stands[index]! + record.length);
      assertEquals(found, record, `Record ${index}`);
    }
  },
);
