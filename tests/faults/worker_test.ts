// Workers that are terminated in the middle of writing and reading: nothing else goes down with them, and no memory
// that the kernel still has from them is used again.

import "../engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { takeStock } from "../leaks.ts";
import { content, firstWrongInFile } from "./content.ts";
import { FaultyDisk } from "./disks.ts";
import { assertIdle, bystander, within } from "./failed_writer.ts";
import { faultTest, inWorkDirectory, whileUp } from "./machine.ts";

const MiB = 1 << 20;
const script = new URL("programs/busy_worker.ts", import.meta.url);

/** Starts a Worker, and resolves when it is in the middle of things. */
async function busy(folder: string, what: string, beats = 3): Promise<Worker> {
  const worker = new Worker(script, { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.onmessage = () => {
    if (--beats === 0) resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  worker.postMessage({ folder, what });
  await within(20, "The Worker", promise);
  return worker;
}

for (const what of ["write", "read", "read at"]) {
  Deno.test(`Workers that are terminated while they ${what} disturb nobody`, () =>
    inWorkDirectory(async (folder) => {
      await Deno.writeFile(`${folder}/source`, content(0, 8 * MiB));
      let running = true;
      const beside = bystander(`${folder}/beside`, () => running);
      beside.catch(() => {});
      for (let round = 0; round < 8; round++) {
        const workers = await Promise.all([busy(folder, what), busy(folder, what, 1 + round)]);
        const written = DmaFile.create(`${folder}/main`).then(async (file) => {
          const writer = new DmaStreamWriter(file, { bufferSize: 64 * 1024 });
          for (let at = 0; at < 2 * MiB; at += 50_000) {
            await writer.write(content(at, Math.min(50_000, 2 * MiB - at), round));
          }
          await writer.close();
        });
        for (const worker of workers) worker.terminate();
        await within(20, "A writer beside a terminated Worker", written);
        assertEquals(await firstWrongInFile(`${folder}/main`, 2 * MiB, round), -1);
      }
      running = false;
      assert(await beside > 0);
      await assertIdle();
    }));
}

faultTest("memory that a terminated Worker was reading into is not used again before the disk is done with it", {
  needs: ["root", "gcc", "loop", "fuse", "ext4"],
}, () =>
  inWorkDirectory(async (directory) => {
    const disk = await FaultyDisk.open(directory, "ext4");
    await whileUp(disk, async (disk) => {
      const folder = disk.mount.path;
      await Deno.writeFile(disk.file("source"), new Uint8Array(4 * MiB).fill(0xaa));
      await disk.mount.remount();
      for (const what of ["read at", "read"]) {
        await disk.disk.command("delay read 400");
        const { reads } = await disk.disk.counts();
        const worker = new Worker(script, { type: "module" });
        worker.postMessage({ folder, what });
        // Reads are with the disk now, and take their time there.
        for (let tried = 0; (await disk.disk.counts()).reads! < reads! + 3 && tried < 300; tried++) {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        worker.terminate();
        assert((await disk.disk.counts()).reads! >= reads! + 3, "Nothing was in flight");
        // Whatever memory the Worker had goes to these, if it goes to anybody.
        const memory = Array.from({ length: 400 }, (_, index) => {
          return new Uint8Array((index % 4 === 0 ? 320 : 64) * 1024).fill(index % 127);
        });
        const files = [];
        for (let index = 0; index < 8; index++) {
          const file = await DmaFile.create(`${directory}/${what}-${index}`);
          const buffer = file.allocBuffer(MiB);
          buffer.bytes.fill(7);
          files.push({ file, buffer });
        }
        await new Promise((resolve) => setTimeout(resolve, 1200));
        await disk.disk.command("clear");
        for (const [index, bytes] of memory.entries()) {
          assert(bytes.every((byte) => byte === index % 127), "Memory was written by a late read");
        }
        for (const { file, buffer } of files) {
          assert(buffer.bytes.every((byte) => byte === 7), "A buffer was written by a late read");
          await file.writeAt(buffer, 0);
          await file.close();
        }
      }
      // The terminated Workers' files stay open with this process: the mount cannot go in order.
    }, () => disk.cutOff());
  }));

Deno.test("Workers that end by themselves leave nothing behind but what ends with the process", () =>
  inWorkDirectory(async (folder) => {
    const run = async () => {
      const worker = await busy(folder, "nothing more", 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      worker.terminate();
    };
    for (let round = 0; round < 3; round++) await run();
    const before = takeStock();
    const rounds = 10;
    for (let round = 0; round < rounds; round++) await run();
    const after = takeStock();
    console.log("descriptors", (after.descriptors - before.descriptors) / rounds, [...after.targets].filter(([t, n]) => n !== before.targets.get(t)), "mappings", (after.mappings - before.mappings) / rounds, "resident", (after.resident-before.resident)/rounds);
  }));
