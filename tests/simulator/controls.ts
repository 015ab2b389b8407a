// Mistakes that the simulator must find: each is a change of the module's text.

import type { Change } from "./run/module.ts";

export interface Control {
  /** What the module does wrong. */
  readonly name: string;
  /** What is replaced in files of src, and by what. */
  readonly changes: readonly Change[];
}

const WRITER = "writer/writer.ts";
const PREALLOCATOR = "writer/preallocator.ts";
const EDGES = "writer/edge_blocks.ts";
const OPEN_FILE = "file/open_file.ts";
const ENDING = "writer/ending.ts";
const QUEUE = "writer/write_queue.ts";
const BUFFERS = "writer/write_buffers.ts";
const TRANSFER = "file/transfer.ts";
const AHEAD = "reader/read_ahead.ts";
const CUT = "file/cut.ts";
const LENGTH = "file/file_length.ts";
const DURABILITY = "file/durability.ts";
const ATOMIC = "file/atomic.ts";
const NAMING = "file/naming.ts";

/** What was wrong before this module had its present shape. For each change: the file, what is replaced, and by what. */
const past = {
  "cuts to a length from before it waited": [
    CUT,
    "truncateAlone(file, () => exceedsContent(file) ? file.length.lengthToCutTo() : undefined)",
    "truncateAlone(file, ((length) => () => length)(file.length.lengthToCutTo()))",
  ],
  "cuts off what another process appended": [
    LENGTH,
    "(size > this.#contentEnd && size <= this.#sizeUpperBound)",
    "size > this.#contentEnd",
  ],
  "goes by the length of a file that another process has cut": [
    WRITER,
    "      length.found(facts.size, append || !ownsSize);\n",
    "",
  ],
  "undoes a close that has begun when it is aborted": [
    WRITER,
    "if (!this.#closeBegun) this.fail(reason, true);",
    "this.fail(reason, true);",
  ],
};

/** What the simulator has found itself. */
const found = {
  "releases the name of an atomic file twice": [
    ATOMIC,
    "    else target.release();",
    "    target.release();",
  ],
  "flushSync syncs nothing where nothing was written before it": [
    WRITER,
    "    const { file, position: end } = this;\n",
    "    const { file, position: end } = this;\n    const wasDurable = file.isDurable;\n",
    WRITER,
    "if (!file.isDurable) file.syncNow",
    "if (durable && !wasDurable) file.syncNow",
  ],
  "flushSync syncs a descriptor that is closed": [
    WRITER,
    "    this.#assertSyncable();\n    try {",
    "    try {",
  ],
  "a sync of flushSync that failed is tried again": [
    WRITER,
    "      this.fail(error);\n      throw error;",
    "      throw error;",
    DURABILITY,
    "    if (this.#syncError) throw this.#syncError;\n    this.#noteResult",
    "    this.#noteResult",
    DURABILITY,
    '    this.#noteResult(engine.runNow({ op: "sync", fd, dataOnly: true }));\n    if (this.#syncError)',
    '    const result = engine.runNow({ op: "sync", fd, dataOnly: true });\n    this.#noteResult(result);\n    if (result < 0)',
  ],
  "a cut is not synced": [
    CUT,
    "          durability.noteChange();\n",
    "",
  ],
  "preallocate hides what another process appended": [
    LENGTH,
    "    if (mayHide) this.#keepAppended();\n",
    "",
  ],
};

/** A writer that is wrong in one place. */
const writer = {
  "syncs before it cuts": [
    ENDING,
    "    () => cutToContent(file),\n    sync,\n",
    "    sync,\n    () => cutToContent(file),\n",
  ],
  "does not cut when it is aborted": [
    ENDING,
    "[confirm, cut]",
    "[confirm]",
  ],
  "takes a short write for a whole one": [
    TRANSFER,
    "if (reached >= this.#range.length) this",
    "if (reached >= 0) this",
  ],
  "goes on after a short write inside a block": [
    TRANSFER,
    "alignDown(reached, this.#file.blockSize);\n    // A write",
    "reached;\n    // A write",
  ],
  "tries a write for ever that brings nothing": [
    TRANSFER,
    "else if (++this.#stalled >= MAX_ATTEMPTS)",
    "else if (++this.#stalled >= Infinity)",
    TRANSFER,
    "if (++this.#stalled >= MAX_ATTEMPTS) this",
    "if (++this.#stalled >= Infinity) this",
  ],
  "tries a failed sync again": [
    DURABILITY,
    "this.#noteResult(result);\n      if (!this",
    'if (result < 0) result = engine.runNow({ op: "sync", fd, dataOnly });\n      this.#noteResult(result);\n      if (!this',
  ],
  "counts as durable what is still being synced": [
    OPEN_FILE,
    "!this.durability.isDurable && this.durability.sync(false),",
    "!this.durability.isDurable && [this.durability.sync(false), this.durability.noteDurableWrite(this.durability.changes)][0],",
  ],
  "counts as durable what was written during the sync": [
    OPEN_FILE,
    "if (failed) throw failed.reason;",
    "if (failed) throw failed.reason;\n    this.durability.noteDurableWrite(this.durability.changes);",
  ],
  "moves the flushed position past a hole": [
    QUEUE,
    "    this.#advance();\n",
    "    if (!error) this.written = Math.max(this.written, write.dataEnd);\n    this.#advance();\n",
  ],
  "counts as flushed what a server has only answered": [
    QUEUE,
    "if (fileSystem.confirmAfter === 0) this.flushed",
    "this.flushed",
  ],
  "counts padding as flushed": [
    BUFFERS,
    "length, position, dataEnd, release });\n  }\n\n  /** Writes the caller",
    "length, position, dataEnd: position + length, release });\n  }\n\n  /** Writes the caller",
  ],
  "has a tail and its buffer in flight together": [
    QUEUE,
    "before.position + before.length <= position;",
    "true;",
  ],
  "does not clear the padding": [
    BUFFERS,
    "    memory.bytes.fill(0, fill, length);\n",
    "",
  ],
  "pads over bytes that are to stay": [
    EDGES,
    "dataEnd < contentEnd ? end : 0",
    "0",
  ],
  "takes a read that ends early for the end of the file": [
    TRANSFER,
    "if (position + reached < size) return",
    "if (false) return",
  ],
  "replaces the first error by the last": [
    WRITER,
    "if (this.failure || this.closed) return;",
    "",
  ],
  "has one buffer too many": [
    BUFFERS,
    "(this.#budget.crowded ? 0 : this.#options.writeBehind);",
    "(this.#budget.crowded ? 0 : this.#options.writeBehind + 1);",
    BUFFERS,
    "<= this.#options.writeBehind + 1,",
    "<= this.#options.writeBehind + 2,",
  ],
  "does not give back what streams share": [
    BUFFERS,
    "    this.#budget.giveBack(bytes);\n",
    "",
  ],
  "has one write too many in flight": [
    QUEUE,
    "this.#inFlight >= this.#writeBehind",
    "this.#inFlight > this.#writeBehind",
  ],
  "gives a buffer back before it is written": [
    BUFFERS,
    "    const release = () => this.#release(memory, capacity);\n",
    "    const release = () => {};\n    this.#release(memory, capacity);\n",
  ],
  "loses a buffer that is written": [
    BUFFERS,
    "    this.#file.engine.release(block);\n    this.#remove(capacity);",
    "    this.#remove(capacity);",
  ],
  "starts a buffer without what is written of its first block": [
    BUFFERS,
    "    block.bytes.set(this.#head);\n",
    "",
  ],
  "lets a truncate begin before the bytes of a write are content": [
    QUEUE,
    "    this.#advance();\n",
    "    file.length.endWrite(write.position + write.length, write.isWritten);\n    this.#advance();\n",
    QUEUE,
    "    // A truncate may begin within it, and cuts to the content.\n    file.length.endWrite(write.position + write.length, write.isWritten);\n",
    "",
  ],
  "cuts while the end of file is moved": [
    PREALLOCATOR,
    "    this.#pending.begin();\n    length.beginWrite(end);\n",
    "",
    PREALLOCATOR,
    "      length.endWrite(end, result >= 0);\n",
    "",
    PREALLOCATOR,
    "      this.#pending.end();\n",
    "",
  ],
  "forgets that a failed step may have made the file longer": [
    PREALLOCATOR,
    "length.beginWrite(end);",
    "length.beginWrite(0);",
    PREALLOCATOR,
    "      durability.noteChange();\n",
    "      durability.noteChange();\n      if (result >= 0) length.beginWrite(end), length.endWrite(end, true);\n",
  ],
  "closes without a sync": [
    WRITER,
    "isWanted && isChanged ?",
    "isWanted && false ?",
  ],
  "publishes a name and forgets the directory": [
    NAMING,
    "    await this.sync();\n",
    "",
  ],
  "publishes an atomic file that is not durable": [
    OPEN_FILE,
    'await descriptor.call("sync", { op: "sync", fd, dataOnly: false });',
    "void descriptor, fd;",
  ],
};

/** A reader that is wrong in one place. */
const reader = {
  "gives out what was read first, and not what comes first": [
    AHEAD,
    "    const read = this.#queue[0];\n    if (!read?.ended) return undefined;",
    "    const read = this.#queue.find(({ ended }) => ended);\n    if (!read) return undefined;",
  ],
  "gives a buffer back that a read still has when it is cancelled": [
    AHEAD,
    "      if (read.ended) this.#free(read);\n      else this.#unwanted++;",
    "      this.#free(read);\n      if (!read.ended) this.#unwanted++;",
  ],
  "reads past the end of its range": [
    AHEAD,
    "Math.min(bytesDone, this.end - read.position, from + most)",
    "Math.min(bytesDone, from + most)",
  ],
  "skips past the end of the file": [
    AHEAD,
    "Math.min(this.#position + bytes, this.end, furthest)",
    "Math.min(this.#position + bytes, this.end)",
  ],
  "loses the buffer of a read that was skipped": [
    AHEAD,
    "      this.#unwanted--;\n      this.#free(read);\n",
    "      this.#unwanted--;\n",
  ],
  "closes the file under its reads": [
    AHEAD,
    '    this.#file.descriptor.acquire("read");\n',
    "",
    AHEAD,
    "    this.#file.descriptor.release();\n",
    "",
  ],
};
/** Every mistake that the simulator must find. */
export const controls: readonly Control[] = Object.entries<string[]>({
  ...past,
  ...found,
  ...writer,
  ...reader,
}).map(([name, parts]) => ({ name, changes: changesOf(parts) }));

function changesOf([file, from, to, ...rest]: string[]): Change[] {
  if (file === undefined) return [];
  return [{ file: `src/${file}`, from: from!, to: to! }, ...changesOf(rest)];
}
