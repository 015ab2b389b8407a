// Shows that the checks of the writer can fail: each is run against a copy of it with one mistake in it that it is there
// to find.

import { assert, assertRejects } from "@std/assert";
import { ending } from "./core/ending.ts";
import { endOfFile } from "./core/end_of_file.ts";
import { failures } from "./core/failures.ts";
import { filling } from "./core/filling.ts";
import { ordering } from "./core/ordering.ts";
import { property } from "./core/property.ts";
import type { Checks, Core } from "./core/rig.ts";
import { sharing } from "./core/sharing.ts";
import { shortWrites } from "./core/short_writes.ts";
import { syncs } from "./core/syncs.ts";
import { tails } from "./core/tails.ts";

const source = new URL("../../src/", import.meta.url);

/** A writer with a mistake. */
interface Mutant {
  /** The file of src in which it is. */
  file: string;
  /** What is replaced there, and by what. */
  changes: [from: string, to: string][];
  /** Every one of these must fail. */
  caughtBy: Checks[string][];
}

const anything =
  property["any calls, with operations that end in any way, leave what was promised"];

const mutants: Record<string, Mutant> = {
  "syncs before it cuts": {
    file: "writer/writer.ts",
    changes: [["[this.#cut, this.#syncAtEnd,", "[this.#syncAtEnd, this.#cut,"]],
    caughtBy: [
      ending["at the end come all writes, then the cut to the exact length, then the sync"],
      anything,
    ],
  },
  "does not cut when it is aborted": {
    file: "writer/writer.ts",
    changes: [["[this.#cutAfterFailure, () => discardName", "[() => discardName"]],
    caughtBy: [
      ending["abort at every moment leaves the flushed bytes, or the whole file once finish began"],
      anything,
    ],
  },
  "takes a short write for a whole one": {
    file: "file/transfer.ts",
    changes: [["if (reached >= this.#range.length) this", "if (reached >= 0) this"]],
    caughtBy: [
      shortWrites["a write cut anywhere is taken up from the block where it stopped"],
      anything,
    ],
  },
  "goes on after a short write where it stopped, inside a block": {
    file: "file/transfer.ts",
    changes: [["reached - reached % this.#file.blockSize", "reached"]],
    caughtBy: [
      shortWrites["a write cut anywhere is taken up from the block where it stopped"],
      anything,
    ],
  },
  "tries a write for ever that brings nothing": {
    file: "file/transfer.ts",
    changes: [[
      "else if (++this.#stalled >= MAX_ATTEMPTS)",
      "else if (++this.#stalled >= Infinity)",
    ]],
    caughtBy: [shortWrites["a write that never brings a block fails with EIO"]],
  },
  "tries a failed sync again": {
    file: "writer/writer.ts",
    changes: [[
      "file.unsynced && file.sync(false),",
      "file.unsynced && file.sync(false).catch(() => file.sync(false)),",
    ]],
    caughtBy: [
      failures[
        "a failed sync fails those that wait for it and those behind it, and is not tried again"
      ],
      anything,
    ],
  },
  "counts as durable what is still being synced": {
    file: "writer/writer.ts",
    changes: [[
      "file.unsynced && file.sync(false),",
      "file.unsynced && [file.sync(false), file.noteSync(file.changes)][0],",
    ]],
    caughtBy: [
      failures["a sync that waits behind one that is running is not resolved before it is durable"],
    ],
  },
  "counts as durable what was written during the sync": {
    file: "writer/writer.ts",
    changes: [[
      "if (!failed) return",
      "if (!failed) file.noteSync(file.changes);\n    if (!failed) return",
    ]],
    caughtBy: [
      syncs["what completes while the file is synced is synced again when asked for"],
      anything,
    ],
  },
  "moves flushedPosition past a hole": {
    file: "writer/write_queue.ts",
    changes: [[
      'queued.state = "written";',
      'queued.state = "written"; this.#flushed = Math.max(this.#flushed, queued.dataEnd);',
    ]],
    caughtBy: [
      ordering["flushedPosition is the end of the whole prefix in every order of four writes"],
      ordering["flushedPosition stays at 8 blocks while 16 is pending and 24 and 32 are done"],
      anything,
    ],
  },
  "counts padding as flushed": {
    file: "writer/writer.ts",
    changes: [[
      "position, dataEnd: end, release });",
      "position, dataEnd: position + length, release });",
    ]],
    caughtBy: [tails["a tail is padded with zeros to one block, and no further"], anything],
  },
  "has a tail and the full buffer in flight together": {
    file: "writer/write_queue.ts",
    changes: [["&& this.#overlapsFlight(write)) return", "&& false) return"]],
    caughtBy: [
      tails["what was filled in while a tail is in flight waits until it is done"],
      anything,
    ],
  },
  "does not clear the padding": {
    file: "writer/writer.ts",
    changes: [["    memory.bytes.set(this.#tail.padding(end), partial.length);\n", ""]],
    caughtBy: [tails["a tail is padded with zeros to one block, and no further"]],
  },
  "pads over bytes that are to stay": {
    file: "writer/tail.ts",
    changes: [["if (inside === 0 ||", "if (true ||"]],
    caughtBy: [filling["bytes behind the end stay, wherever writing stops"], anything],
  },
  "takes a read that ends early for the end of the file": {
    file: "file/transfer.ts",
    changes: [["if (position + reached < size) return", "if (false) return"]],
    caughtBy: [
      filling["a read of the bytes behind the end that ends early is done again"],
      filling["bytes behind the end that cannot be read are not overwritten with zeros"],
    ],
  },
  "replaces the first error by the last": {
    file: "writer/writer.ts",
    changes: [['if (this.#failure || this.#phase.name === "closed") return;', ""]],
    caughtBy: [failures["the first error wins, whatever fails after it"], anything],
  },
  "forgets who waits for room when another one comes": {
    file: "writer/writer.ts",
    changes: [["(this.#room ??= Promise", "(this.#room = Promise"]],
    caughtBy: [ordering["room asked for twice is told twice"]],
  },
  "has one buffer too many": {
    file: "writer/write_buffers.ts",
    changes: [[
      "(this.#budget?.crowded ? 0 : this.#writeBehind);",
      "(this.#budget?.crowded ? 0 : this.#writeBehind + 1);",
    ]],
    caughtBy: [
      ordering["one buffer more than are in flight is taken, and then nothing"],
      ordering["memory stays within one buffer more than are in flight in any order"],
      anything,
    ],
  },
  "takes no notice of what streams share": {
    file: "writer/write_buffers.ts",
    changes: [["(this.#budget?.crowded ? 0 : this.#writeBehind);", "this.#writeBehind;"]],
    caughtBy: [
      sharing[
        "with a budget that is spent there is one buffer of 256 KiB, which fills and then flies"
      ],
    ],
  },
  "does not give back what streams share": {
    file: "writer/write_buffers.ts",
    changes: [["    this.#budget?.giveBack(bytes);\n", ""]],
    caughtBy: [
      sharing["with a budget to spare, buffers are as large and as many as they should be"],
      sharing["a buffer that was begun when there was memory is filled to its end"],
    ],
  },
  "has one write too many in flight": {
    file: "writer/write_queue.ts",
    changes: [["this.#inFlight >= this.#writeBehind", "this.#inFlight > this.#writeBehind"]],
    caughtBy: [
      ordering["one buffer more than are in flight is taken, and then nothing"],
      anything,
    ],
  },
  "replaces the first buffer while a part of it is in flight": {
    file: "writer/write_buffers.ts",
    changes: [["if (this.#writes > 0) return false;", ""]],
    caughtBy: [filling["the first buffer does not grow while a part of it is in flight"]],
  },
  "gives a buffer back before its last part is whole": {
    file: "writer/write_buffers.ts",
    changes: [["|| this.#writes > 0) return;", ") return;"]],
    caughtBy: [ordering["five bytes are accepted at once and flushed by finish"], anything],
  },
  "loses a tail's copy": {
    file: "writer/writer.ts",
    changes: [[
      "      engine.release(memory);\n      this.#tail.copied",
      "      this.#tail.copied",
    ]],
    caughtBy: [tails["a tail is padded with zeros to one block, and no further"], anything],
  },
  "cuts while the end of file is moved": {
    file: "writer/writer.ts",
    changes: [[
      "    length.beginWrite(allocation.position + allocation.length);\n    this.#pending++;",
      "",
    ], [
      "      this.#pending--;\n      this.#preallocator.end(result);\n      length.endWrite();",
      "      this.#preallocator.end(result);",
    ]],
    caughtBy: [
      endOfFile["a step is with the kernel without anyone waiting for it"],
      endOfFile["abort waits for a step, and cuts what it added"],
      anything,
    ],
  },
  "forgets that a failed step may have made the file longer": {
    file: "writer/writer.ts",
    changes: [[
      "length.beginWrite(allocation.position + allocation.length);",
      "length.beginWrite(0);",
    ], [
      "this.#preallocator.end(result);",
      "this.#preallocator.end(result); if (result >= 0) length.extend(allocation.position + allocation.length);",
    ]],
    caughtBy: [
      endOfFile["a step that failed half-way has made the file longer, and that is cut"],
    ],
  },
};

/** A module of src as the URL of a blob, with the mistake, and so the modules that it imports. No file is written for it. */
async function moduleWith(
  mutant: Mutant,
  url: URL,
  made = new Map<string, Promise<string>>(),
): Promise<string> {
  const known = made.get(url.href);
  if (known) return await known;
  const making = makeModule(mutant, url, made);
  made.set(url.href, making);
  return await making;
}

async function makeModule(
  { file, changes, caughtBy }: Mutant,
  url: URL,
  made: Map<string, Promise<string>>,
): Promise<string> {
  let text = await Deno.readTextFile(url);
  if (url.href === new URL(file, source).href) {
    for (const [from, to] of changes) {
      assert(text.split(from).length === 2, `Not once in ${file}: ${from}`);
      text = text.replace(from, () => to);
    }
  }
  for (const [statement, path] of text.matchAll(/from "(\.\.?\/[^"]+)"/g)) {
    const imported = await moduleWith({ file, changes, caughtBy }, new URL(path!, url), made);
    text = text.replace(statement, () => `from "${imported}"`);
  }
  return URL.createObjectURL(new Blob([text], { type: "application/typescript" }));
}

for (const [name, mutant] of Object.entries(mutants)) {
  Deno.test(`A writer that ${name} is found out`, async () => {
    const { Writer }: { Writer: Core } = await import(
      await moduleWith(mutant, new URL("writer/writer.ts", source))
    );
    // What a mistake throws where nobody waits for it is no failure of this test.
    const ignore = (event: PromiseRejectionEvent) => event.preventDefault();
    globalThis.addEventListener("unhandledrejection", ignore);
    try {
      for (const check of mutant.caughtBy) {
        await assertRejects(
          async () => await check(Writer),
          `${name}, and ${check.name} passes`,
        );
      }
    } finally {
      globalThis.removeEventListener("unhandledrejection", ignore);
    }
  });
}
