// Mistakes that the simulator must find: each is a change of the module's text. Long, as a list is.

import type { Change } from "./run/module.ts";

/** A mistake in the module. */
export interface Control {
  /** What the module does wrong. */
  readonly name: string;
  /** What is replaced in files of src, and by what. */
  readonly changes: readonly Change[];
}

function change(file: string, from: string, to: string): Change {
  return { file: `src/${file}`, from, to };
}

const WRITER = "writer/writer.ts";
const START = "writer/start_search.ts";
const BEHIND = "writer/write_behind.ts";
const TAIL = "writer/tail.ts";
const SYNCS = "writer/sync_queue.ts";
const ENDING = "writer/ending.ts";
const QUEUE = "writer/write_queue.ts";
const BUFFERS = "writer/write_buffers.ts";
const TRANSFER = "file/transfer.ts";
const AHEAD = "reader/read_ahead.ts";
const CUT = "file/cut.ts";
const END = "file/program_end.ts";
const OPEN = "file/open_file.ts";
const ATOMIC = "file/atomic.ts";

/** What was wrong before this module had its present shape. */
const past: readonly Control[] = [
  {
    name: "cuts to a length from before it waited",
    changes: [
      change(
        CUT,
        "  return truncateAlone(file, () => {\n    const { length } = file;\n    if (!exceedsContent(file)) return undefined;\n    const { contentEnd, sizeUpperBound } = length;\n",
        "  const { contentEnd, sizeUpperBound } = file.length;\n  return truncateAlone(file, () => {\n    const { length } = file;\n    if (!exceedsContent(file)) return undefined;\n",
      ),
    ],
  },
  {
    name: "cuts off what another process appended",
    changes: [change(CUT, "(size > contentEnd && size <= sizeUpperBound)", "size > contentEnd")],
  },
  {
    name: "goes by the length of a file that another process has cut",
    changes: [change(START, "    length.found(size, append || !ownsSize);\n", "")],
  },
  {
    name: "undoes a close that has begun when it is aborted",
    changes: [
      change(
        WRITER,
        "if (!this.closeRequest) this.fail(reason, true);",
        "this.fail(reason, true);",
      ),
    ],
  },
];

/** What the simulator has found itself. */
const found: readonly Control[] = [
  {
    name: "releases the name of an atomic file twice",
    changes: [
      change(
        ATOMIC,
        "    await discardName(file);\n    await file.descriptor.close().catch(() => {});\n    throw error;",
        "    await discardName(file);\n    target.release();\n    await file.descriptor.close().catch(() => {});\n    throw error;",
      ),
    ],
  },
  {
    name: "flushSync syncs nothing where nothing was written before it",
    changes: [
      change(
        WRITER,
        "    const end = this.position;\n    while (writes",
        "    const wasDurable = this.#syncs.isDurable;\n    const end = this.position;\n    while (writes",
      ),
      change(
        WRITER,
        "if (durable && !this.#syncs.isDurable) this.#syncNow",
        "if (durable && !wasDurable) this.#syncNow",
      ),
    ],
  },
  {
    name: "flushSync syncs a descriptor that is closed",
    changes: [change(WRITER, 'if (this.#isDetached) throw closedError("sync");\n', "\n")],
  },
  {
    name: "a sync of flushSync that failed is tried again",
    changes: [
      change(WRITER, "      this.fail(error);\n      throw error;", "      throw error;"),
      change(
        OPEN,
        "    if (this.syncError) throw this.syncError;\n    const result",
        "    const result",
      ),
      change(
        OPEN,
        "    if (this.syncError) throw this.syncError;\n    this.noteSync(changes);",
        "    if (result < 0) throw this.syncError;\n    this.noteSync(changes);",
      ),
    ],
  },
  {
    name: "the end of the program cuts beside a write that is under way",
    changes: [
      change(END, "if (length.isChanging || !exceedsContent", "if (!exceedsContent"),
    ],
  },
  {
    name: "the end of the program cuts, and nobody syncs that",
    changes: [change(END, "    file.changes++;\n", "")],
  },
  {
    name: "preallocate hides what another process appended",
    changes: [change("file/allocate.ts", "    if (end > 0) keepAppended(file);\n", "")],
  },
];

/** A writer that is wrong in one place. */
const writer: readonly Control[] = [
  {
    name: "syncs before it cuts",
    changes: [change(ENDING, "[() => cut(file), sync,", "[sync, () => cut(file),")],
  },
  {
    name: "does not cut when it is aborted",
    changes: [change(ENDING, "[cutWhole, () => discardName", "[() => discardName")],
  },
  {
    name: "takes a short write for a whole one",
    changes: [
      change(TRANSFER, "if (reached >= this.#range.length) this", "if (reached >= 0) this"),
    ],
  },
  {
    name: "goes on after a short write inside a block",
    changes: [
      change(
        TRANSFER,
        "alignDown(reached, this.#file.blockSize);\n    // A write",
        "reached;\n    // A write",
      ),
    ],
  },
  {
    name: "tries a write for ever that brings nothing",
    changes: [
      change(
        TRANSFER,
        "else if (++this.#stalled >= MAX_ATTEMPTS)",
        "else if (++this.#stalled >= Infinity)",
      ),
      change(
        TRANSFER,
        "if (++this.#stalled >= MAX_ATTEMPTS) this",
        "if (++this.#stalled >= Infinity) this",
      ),
    ],
  },
  {
    name: "tries a failed sync again",
    changes: [
      change(
        OPEN,
        'if (result < 0) this.#failSync(ioError(-result, "sync", path));\n      sync.last',
        'if (result < 0) return engine.submit({ op: "sync", fd, dataOnly }, { complete });\n      sync.last',
      ),
    ],
  },
  {
    name: "counts as durable what is still being synced",
    changes: [
      change(
        SYNCS,
        "file.unsynced && file.sync(false),",
        "file.unsynced && [file.sync(false), file.noteSync(file.changes)][0],",
      ),
    ],
  },
  {
    name: "counts as durable what was written during the sync",
    changes: [
      change(
        SYNCS,
        "if (failed) throw failed.reason;",
        "if (failed) throw failed.reason;\n    file.noteSync(file.changes);",
      ),
    ],
  },
  {
    name: "moves the flushed position past a hole",
    changes: [
      change(
        QUEUE,
        'queued.state = "written";',
        'queued.state = "written"; this.#flushed = Math.max(this.#flushed, queued.dataEnd);',
      ),
    ],
  },
  {
    name: "counts padding as flushed",
    changes: [
      change(
        TAIL,
        "position, dataEnd: end, release };",
        "position, dataEnd: position + length, release };",
      ),
    ],
  },
  {
    name: "has a tail and its buffer in flight together",
    changes: [change(QUEUE, "&& this.#overlapsFlight(write)) return", "&& false) return")],
  },
  {
    name: "does not clear the padding",
    changes: [
      change(TAIL, "    memory.bytes.set(this.padding(end), partial.length);\n", ""),
    ],
  },
  {
    name: "pads over bytes that are to stay",
    changes: [change(TAIL, "return inside > 0 &&", "return false && inside > 0 &&")],
  },
  {
    name: "takes a read that ends early for the end of the file",
    changes: [change(TRANSFER, "if (position + reached < size) return", "if (false) return")],
  },
  {
    name: "replaces the first error by the last",
    changes: [
      change(WRITER, "if (this.failure || this.closed) return;", ""),
    ],
  },
  {
    name: "has one buffer too many",
    changes: [
      change(
        BUFFERS,
        "(this.#budget?.crowded ? 0 : this.#writeBehind);",
        "(this.#budget?.crowded ? 0 : this.#writeBehind + 1);",
      ),
      change(BUFFERS, "<= this.#writeBehind + 1,", "<= this.#writeBehind + 2,"),
    ],
  },
  {
    name: "does not give back what streams share",
    changes: [change(BUFFERS, "    this.#budget?.giveBack(bytes);\n", "")],
  },
  {
    name: "has one write too many in flight",
    changes: [
      change(QUEUE, "this.#inFlight < this.#writeBehind", "this.#inFlight <= this.#writeBehind"),
    ],
  },
  {
    name: "gives a buffer back before its last part is whole",
    changes: [change(BUFFERS, "|| this.#writes > 0) return;", ") return;")],
  },
  {
    name: "loses a tail's copy",
    changes: [
      change(
        TAIL,
        "      engine.release(memory);\n      this.#isCopied",
        "      this.#isCopied",
      ),
    ],
  },
  {
    name: "cuts while the end of file is moved",
    changes: [
      change(
        BEHIND,
        "    length.beginWrite(allocation.position + allocation.length);\n",
        "",
      ),
      change(
        BEHIND,
        "      length.endWrite();\n      this.#file.changes++;\n      ended.complete(result);",
        "      this.#file.changes++;",
      ),
      change(
        BEHIND,
        "if (this.#preallocate(end, ended)) started++;",
        "this.#preallocate(end, ended);",
      ),
    ],
  },
  {
    name: "forgets that a failed step may have made the file longer",
    changes: [
      change(
        BEHIND,
        "length.beginWrite(allocation.position + allocation.length);",
        "length.beginWrite(0);",
      ),
      change(
        BEHIND,
        "this.#preallocator.end(result);",
        "this.#preallocator.end(result); if (result >= 0) length.extend(allocation.position + allocation.length);",
      ),
    ],
  },
  {
    name: "closes without a sync",
    changes: [change(ENDING, "wanted && !syncs.isDurable ?", "wanted && false ?")],
  },
  {
    name: "publishes a name and forgets the directory",
    changes: [change(ATOMIC, "  await file.syncName();\n", "")],
  },
];

/** A reader that is wrong in one place. */
const reader: readonly Control[] = [
  {
    name: "gives out what was read first, and not what comes first",
    changes: [
      change(
        AHEAD,
        "      const read = this.#queue[0];\n      if (this.#position >= this.#end ||",
        "      const read = this.#queue.find(({ ended }) => ended) ?? this.#queue[0];\n      if (this.#position >= this.#end ||",
      ),
    ],
  },
  {
    name: "gives a buffer back that a read still has when it is cancelled",
    changes: [
      change(
        AHEAD,
        "for (const read of this.#queue.splice(0)) {\n      if (read.ended) this.#free(read);\n      else read.unwanted = true;",
        "for (const read of this.#queue.splice(0)) {\n      this.#free(read);",
      ),
    ],
  },
  {
    name: "skips past the end of the file",
    changes: [
      change(
        AHEAD,
        "Math.min(this.#position + bytes, this.#end, furthest)",
        "Math.min(this.#position + bytes, this.#end)",
      ),
    ],
  },
  {
    name: "loses the buffer of a read that was skipped",
    changes: [
      change(AHEAD, "        this.#free(read);\n        this.#wake();", "        this.#wake();"),
    ],
  },
  {
    name: "closes the file under its reads",
    changes: [
      change(AHEAD, '      this.#file.descriptor.acquire("read");\n', ""),
      change(AHEAD, "        this.#file.descriptor.release();\n", ""),
    ],
  },
];

/** Every mistake that the simulator must find. */
export const controls: readonly Control[] = [...past, ...found, ...writer, ...reader];
