// Shows that the checks of the write-behind core can fail: each is run against a copy of the core with one mistake
// in it that it is there to find.

import { assert, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { ending } from "./write_behind/ending.ts";
import { endOfFile } from "./write_behind/end_of_file.ts";
import { failures } from "./write_behind/failures.ts";
import { filling } from "./write_behind/filling.ts";
import { ordering } from "./write_behind/ordering.ts";
import { property } from "./write_behind/property.ts";
import type { Checks, Core } from "./write_behind/rig.ts";
import { sharing } from "./write_behind/sharing.ts";
import { shortWrites } from "./write_behind/short_writes.ts";
import { syncs } from "./write_behind/syncs.ts";
import { tails } from "./write_behind/tails.ts";

const core = new URL("../../src/core/", import.meta.url);

/** A core with a mistake. */
interface Mutant {
  /** The file of src/core in which it is. */
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
    file: "write_behind.ts",
    changes: [
      [
        "    if (!this.#failure) await this.#cut();\n    while (this.#busy) await this.#nextQuiet();\n",
        "",
      ],
      [
        "    while (this.#busy) await this.#nextQuiet();\n    if (this.#failure) throw this.error;\n    this.#finished = true;",
        "    if (!this.#failure) await this.#cut();\n    while (this.#busy) await this.#nextQuiet();\n    if (this.#failure) throw this.error;\n    this.#finished = true;",
      ],
    ],
    caughtBy: [
      ending["at the end come all writes, then the cut to the exact length, then the sync"],
      anything,
    ],
  },
  "does not cut when it is aborted": {
    file: "write_behind.ts",
    changes: [["return await this.#cut();", "return undefined;"]],
    caughtBy: [
      ending["abort at every moment leaves the flushed bytes, no memory, and nobody waiting"],
      anything,
    ],
  },
  "takes a short write for a whole one": {
    file: "write_line.ts",
    changes: [
      ["if (end < piece.length && !this.#stopped) {", "if (false) {"],
      ["write.whole = end >= piece.length;", "write.whole = true;"],
    ],
    caughtBy: [
      shortWrites["a write cut anywhere is taken up from the block where it stopped"],
      anything,
    ],
  },
  "goes on after a short write where it stopped, inside a block": {
    file: "write_line.ts",
    changes: [["const put = end - end % this.#options.alignment;", "const put = end;"]],
    caughtBy: [
      shortWrites["a write cut anywhere is taken up from the block where it stopped"],
      anything,
    ],
  },
  "tries a write for ever that brings nothing": {
    file: "write_line.ts",
    changes: [["++write.fruitless > ", "Infinity < "]],
    caughtBy: [shortWrites["a write that never brings a block fails with EIO"]],
  },
  "tries a failed sync again": {
    file: "durability.ts",
    changes: [[
      "const reason = failed(",
      "this.#waiting.push(...served); this.serve(); return;\nconst reason = failed(",
    ]],
    caughtBy: [
      failures[
        "a failed sync fails those that wait for it and those behind it, and is not tried again"
      ],
      anything,
    ],
  },
  "counts as durable what is still being synced": {
    file: "durability.ts",
    changes: [["const queued =", "this.#durable = changes;\nconst queued ="]],
    caughtBy: [
      failures["a sync that waits behind one that is running is not resolved before it is durable"],
    ],
  },
  "counts as durable what was written during the sync": {
    file: "durability.ts",
    changes: [["this.#durable = changes;", "this.#durable = line.changes;"]],
    caughtBy: [
      syncs["what completes while the file is synced is synced again when asked for"],
      anything,
    ],
  },
  "moves flushedPosition past a hole": {
    file: "write_line.ts",
    changes: [["const line = this.#line;", "if (write.whole) this.flushed = piece.dataEnd;"], [
      "while (line.length > 0 && line[0]!.whole) {",
      "const line = this.#line;\nwhile (line.length > 0 && line[0]!.whole) {",
    ]],
    caughtBy: [
      ordering["flushedPosition is the end of the whole prefix in every order of four writes"],
      ordering["flushedPosition stays at 8 blocks while 16 is pending and 24 and 32 are done"],
      anything,
    ],
  },
  "counts padding as flushed": {
    file: "write_behind.ts",
    changes: [["dataEnd: end,", "dataEnd: end - bytes.length + this.#alignment,"]],
    caughtBy: [tails["a tail is padded with zeros to one block, and no further"], anything],
  },
  "has a tail and the full buffer in flight together": {
    file: "write_line.ts",
    changes: [["&& this.#overlapsFlight(write)) break;", "&& false) break;"]],
    caughtBy: [
      tails["what was filled in while a tail is in flight waits until it is done"],
      anything,
    ],
  },
  "writes a tail from the buffer that is being filled": {
    file: "write_behind.ts",
    changes: [["copy.bytes.set(bytes);", "Object.assign(copy, { bytes: filling.bytes });"], [
      "#copyTail(bytes: Uint8Array, end: number): Piece {",
      "#copyTail(bytes: Uint8Array, end: number): Piece {\nconst filling = this.#buffers.filling!;",
    ]],
    caughtBy: [tails["a tail twice, with more bytes between, is written one after the other"]],
  },
  "does not clear the padding": {
    file: "padding.ts",
    changes: [["bytes.fill(0, used, used + alignment - inside);", ""]],
    caughtBy: [tails["a tail is padded with zeros to one block, and no further"]],
  },
  "pads over bytes that are to stay": {
    file: "padding.ts",
    changes: [["return inside > 0 &&", "return false &&"]],
    caughtBy: [filling["bytes behind the end stay, wherever writing stops"], anything],
  },
  "takes a read that ends early for the end of the file": {
    file: "padding.ts",
    changes: [["if (result >= 0 && position + result >= size)", "if (result >= 0)"]],
    caughtBy: [
      filling["a read of the bytes behind the end that ends early is done again"],
      filling["bytes behind the end that cannot be read are not overwritten with zeros"],
    ],
  },
  "replaces the first error by the last": {
    file: "write_behind.ts",
    changes: [["if (!this.#failure) {\n      this.#giveUp(error);", "{\n this.#giveUp(error);"]],
    caughtBy: [failures["the first error wins, whatever fails after it"], anything],
  },
  "forgets who waits for room when another one comes": {
    file: "write_behind.ts",
    changes: [["this.#room ??= Promise", "this.#room = Promise"]],
    caughtBy: [ordering["room asked for twice is told twice"]],
  },
  "has one buffer too many": {
    file: "write_buffers.ts",
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
    file: "write_buffers.ts",
    changes: [["(this.#budget?.crowded ? 0 : this.#writeBehind);", "this.#writeBehind;"]],
    caughtBy: [
      sharing[
        "with a budget that is spent there is one buffer of 256 KiB, which fills and then flies"
      ],
    ],
  },
  "does not give back what streams share": {
    file: "write_buffers.ts",
    changes: [["    this.#budget?.giveBack(bytes);\n", ""]],
    caughtBy: [
      sharing["with a budget to spare, buffers are as large and as many as they should be"],
      sharing["a buffer that was begun when there was memory is filled to its end"],
    ],
  },
  "has one write too many in flight": {
    file: "write_line.ts",
    changes: [["this.inFlight < writeBehind &&", "this.inFlight <= writeBehind &&"]],
    caughtBy: [
      ordering["one buffer more than are in flight is taken, and then nothing"],
      anything,
    ],
  },
  "replaces the first buffer while a part of it is in flight": {
    file: "write_buffer.ts",
    changes: [["if (this.#parts > 0) return false;", ""]],
    caughtBy: [filling["the first buffer does not grow while a part of it is in flight"]],
  },
  "gives a buffer back before its last part is whole": {
    file: "write_buffer.ts",
    changes: [["|| this.#parts > 0) return;", ") return;"]],
    caughtBy: [ordering["five bytes are accepted at once and flushed by finish"], anything],
  },
  "loses a tail's copy": {
    file: "write_behind.ts",
    changes: [["this.#engine.release(copy);", ""]],
    caughtBy: [tails["a tail is padded with zeros to one block, and no further"], anything],
  },
  "cuts while the end of file is moved": {
    file: "write_behind.ts",
    changes: [["|| this.#endOfFile.busy ", ""]],
    caughtBy: [
      endOfFile["a step is with the kernel without anyone waiting for it"],
      endOfFile["abort waits for a step, and cuts what it added"],
      anything,
    ],
  },
  "forgets that a failed step may have made the file longer": {
    file: "end_of_file.ts",
    changes: [["if (result < 0) {", "if (result < 0) {\nthis.longest = this.#from;"]],
    caughtBy: [
      endOfFile["a step that failed half-way has made the file longer, and that is cut"],
    ],
  },
};

/**
 * A module of src/core as a URL that holds its text, with the mistake, and the modules beside it that it imports. No
 * file is written for it, and a cache has it once.
 */
async function moduleWith(mutant: Mutant, name: string): Promise<string> {
  const { file, changes } = mutant;
  let text = await Deno.readTextFile(new URL(name, core));
  if (name === file) {
    for (const [from, to] of changes) {
      assert(text.split(from).length === 2, `Not once in ${file}: ${from}`);
      text = text.replace(from, () => to);
    }
  }
  for (const [statement, path] of text.matchAll(/from "(\.\.?\/[^"]+)"/g)) {
    const beside = path!.startsWith("./");
    const url = beside ? await moduleWith(mutant, path!.slice(2)) : new URL(path!, core).href;
    text = text.replace(statement, () => `from "${url}"`);
  }
  return `data:application/typescript;base64,${Buffer.from(text).toString("base64")}`;
}

for (const [name, mutant] of Object.entries(mutants)) {
  Deno.test(`A core that ${name} is found out`, async () => {
    const { WriteBehind }: { WriteBehind: Core } = await import(
      await moduleWith(mutant, "write_behind.ts")
    );
    // What a mistake throws where nobody waits for it is no failure of this test.
    const ignore = (event: PromiseRejectionEvent) => event.preventDefault();
    globalThis.addEventListener("unhandledrejection", ignore);
    try {
      for (const check of mutant.caughtBy) {
        await assertRejects(
          async () => await check(WriteBehind),
          `${name}, and ${check.name} passes`,
        );
      }
    } finally {
      globalThis.removeEventListener("unhandledrejection", ignore);
    }
  });
}
