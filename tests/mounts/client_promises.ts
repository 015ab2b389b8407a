// The promises for two clients of one file system: checks on two mounts of the same files.

import { assertEquals } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { pause } from "../setup/command.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { MEMORY_MS, writeAndClose } from "./promises.ts";

export type ClientCheck = (one: string, other: string) => Promise<void>;

const RECORDS = 100;
const RECORD = 1000;

async function append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await writeAndClose((await DmaFile.open(path, { append: true, create: true })).writable, bytes);
}

/** One client appends its own records, one after the other. */
async function appendRecords(path: string, mark: number): Promise<void> {
  const { writable } = await DmaFile.open(path, { append: true });
  for (let count = 0; count < RECORDS; count++) {
    await writable.write(filled(RECORD, mark));
    await writable.flushAligned({ tail: true });
  }
  await writable.close();
}

export const clientPromises: Readonly<Record<string, ClientCheck>> = {
  "another client sees a file that is closed": async (one, other) => {
    for (const atomic of [false, true]) {
      const name = `seen-${atomic}`;
      const { writable } = await DmaFile.create(`${one}/${name}`, { atomic });
      await writeAndClose(writable, pattern(300_001));
      await pause(MEMORY_MS);
      await assertFile(`${other}/${name}`, pattern(300_001));
    }
  },

  "another client goes on at the end": async (one, other) => {
    for (const [turn, directory] of [one, other, one, other].entries()) {
      await append(`${directory}/turns`, pattern(33_333, turn * 33_333));
    }
    await pause(MEMORY_MS);
    await assertFile(`${one}/turns`, pattern(4 * 33_333));
  },

  "another client is told of a lock": async (one, other) => {
    await Deno.writeFile(`${one}/locked`, new Uint8Array());
    // SeaweedFS shows a new file when it is closed.
    await pause(MEMORY_MS);
    await using mine = await DmaFile.open(`${one}/locked`, { write: true });
    await using theirs = await DmaFile.open(`${other}/locked`, { write: true });
    assertEquals(await mine.tryLock(true), true);
    assertEquals(await theirs.tryLock(true), false);
    await mine.unlock();
    assertEquals(await theirs.tryLock(true), true);
  },

  "two clients that append at once lose no record": async (one, other) => {
    await Deno.writeFile(`${one}/log`, new Uint8Array());
    await pause(MEMORY_MS);
    await Promise.all([appendRecords(`${one}/log`, 1), appendRecords(`${other}/log`, 2)]);
    await pause(MEMORY_MS);
    const bytes = await Deno.readFile(`${one}/log`);
    const counts = [0, 1, 2].map((mark) => bytes.filter((byte) => byte === mark).length / RECORD);
    assertEquals(counts, [0, RECORDS, RECORDS], `zeros, one's and the other's: ${counts}`);
  },

  "two clients that append in turns, by a lock, lose no record": async (one, other) => {
    for (const name of ["shared", "lock"]) await Deno.writeFile(`${one}/${name}`, new Uint8Array());
    const turns: number[] = [];
    await Promise.all([one, other].map(async (directory, index) => {
      for (let count = 0; count < 20; count++) {
        await using lock = await DmaFile.open(`${directory}/lock`, { write: true });
        await lock.lock(true);
        await append(`${directory}/shared`, filled(RECORD, index + 1));
        turns.push(index + 1);
        await lock.unlock();
      }
    }));
    await assertFile(`${one}/shared`, joined(...turns.map((mark) => filled(RECORD, mark))));
  },
};
