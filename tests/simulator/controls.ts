// Mistakes that the simulator must find. Each is a change of the module's text.

import type { Change } from "./run/module.ts";

export interface Control {
  readonly name: string;
  readonly changes: readonly Change[];
}

/** The mistake in words; then each changed file of src, with the replaced text and the replacement. */
const text = String.raw`
# What was wrong before this module had its present shape.
cuts to a length from before it waited
  file/space.ts: (size) => length.lengthToCutTo(size) → ((newLength) => () => newLength)(length.lengthToCutTo(length.sizeNow()))
cuts off what another process appended
  file/file_length.ts: if (size > end && size <= this.sizeUpperBound) → if (size > end)
goes by the length of a file that another process has cut
  writer/writer.ts: changes.noteSize(facts.size, ownsSize ? start : facts.size); →
undoes a close that has begun when it is aborted
  writer/writer.ts: if (!isClosing) this.fail(reason, true); → this.fail(reason, true);
# What the simulator has found itself.
releases the name of an atomic file twice
  file/atomic.ts: else target.release(); → target.release();
flushSync syncs nothing where nothing was written before it
  writer/writer.ts: const { file, position: end } = this; → const { file, position: end } = this; const wasDurable = file.isDurable;
  writer/writer.ts: if (!file.isDurable) file.syncNow → if (durable && !wasDurable) file.syncNow
flushSync syncs a descriptor that is closed
  writer/writer.ts: if (this.#isPastSync) throw closedStreamError("sync", file); →
a sync of flushSync that failed is tried again
  writer/writer.ts: this.fail(error);\n      throw error; → throw error;
  file/durability.ts: if (this.syncError) throw this.syncError;\n    this.#noteResult → this.#noteResult
  file/durability.ts: this.#noteResult(engine.runNow({ op: "sync", fd, dataOnly: true }));\n    if (this.syncError) → const result = engine.runNow({ op: "sync", fd, dataOnly: true }); this.#noteResult(result); if (result < 0)
a cut is not synced
  file/file_changes.ts: for (const { durability } of this.#handles) durability.noteChange(); →
preallocate hides what another process appended
  file/file_length.ts: if (end > this.sizeUpperBound || end > dataEnd) this.noteAppended(); →
# A writer that is wrong in one place.
syncs before it cuts
  writer/writer.ts: () => cutToContent(file),\n      sync, → sync, () => cutToContent(file),
does not cut when it is aborted
  writer/writer.ts: [confirm, cut] → [confirm]
hides that a cut has failed
  writer/writer.ts: if (this.#cutError) throw this.#cutError; →
takes a short write for a whole one
  file/transfer.ts: if (reached >= this.range.length) this → if (reached >= 0) this
goes on after a short write inside a block
  file/transfer.ts: alignDown(reached, this.file.blockSize);\n    // A write → reached;\n    // A write
tries a write for ever that brings nothing
  file/transfer.ts: if (++this.#stalled >= MAX_ATTEMPTS) → if (++this.#stalled >= Infinity)
tries a failed sync again
  file/durability.ts: this.#noteResult(result);\n      if (!this → if (result < 0) result = engine.runNow({ op: "sync", fd, dataOnly }); this.#noteResult(result); if (!this
counts as durable what is still being synced
  file/open_file.ts: durability.isDurable ? undefined : durability.sync(true); → durability.isDurable ? undefined : durability.sync(true); durability.noteDurableWrite(durability.changes);
counts as durable what was written during the sync
  file/open_file.ts: await name; → await name; durability.noteDurableWrite(durability.changes);
moves the flushed position past a hole
  writer/write_queue.ts: this.#advance(); → if (!error) this.written = Math.max(this.written, write.dataEnd); this.#advance();
counts as flushed what a server has only answered
  writer/write_queue.ts: if (isConfirmed) this.flushed → this.flushed
counts padding as flushed
  writer/write_queue.ts: dataEnd, isPooled, isWritten → dataEnd: position + length, isPooled, isWritten
has a tail and its buffer in flight together
  writer/write_queue.ts: before.end <= position; → true;
does not clear the padding
  writer/write_queue.ts: memory.bytes.fill(0, dataLength, length); →
pads over bytes that are to stay
  writer/write_queue.ts: write.dataEnd < length.contentEnd ? write.dataEnd : write.end → write.end
takes a read that ends early for the end of the file
  file/transfer.ts: if (hasMore) return → if (false) return
replaces the first error by the last
  writer/writer.ts: if (this.failure || this.closed) return; →
has one buffer too many
  writer/write_buffers.ts: (this.options.budget.crowded ? 0 : this.options.writeBehind); → (this.options.budget.crowded ? 0 : this.options.writeBehind + 1);
  writer/write_buffers.ts: this.queue.size <= this.options.writeBehind, → this.queue.size <= this.options.writeBehind + 1,
does not give back what streams share
  writer/write_queue.ts: this.options.budget.held -= memory.bytes.length; →
has one write too many in flight
  writer/write_queue.ts: this.#inFlight >= (isAlone → this.#inFlight > (isAlone
gives a buffer back before it is written
  writer/write_buffers.ts: position, dataEnd, true); → position, dataEnd, false); this.file.engine.release(memory);
loses a buffer that is written
  writer/write_queue.ts: if (isPooled) this.file.engine.release(memory); →
starts a buffer without what is written of its first block
  writer/write_buffers.ts: buffer.bytes.set(this.#buffer?.bytes.subarray(0, this.#fill) ?? this.#head); → if (this.#buffer) buffer.bytes.set(this.#buffer.bytes.subarray(0, this.#fill));
lets a truncate begin before the bytes of a write are content
  writer/write_queue.ts: this.#advance(); → this.file.changes.endWrite(write.position, write.end, write.isWritten); this.#advance();
  writer/write_queue.ts: // A truncate may begin within this call, and cuts to the content.\n    this.file.changes.endWrite(write.position, write.end, write.isWritten); →
cuts while the end of file is moved
  writer/preallocator.ts: this.pending.begin();\n    changes.beginWrite(end); →
  writer/preallocator.ts: changes.endWrite(position, end, result >= 0); →
  writer/preallocator.ts: this.pending.end(); →
forgets that a failed step may have made the file longer
  writer/preallocator.ts: changes.beginWrite(end); → changes.beginWrite(0);
  writer/preallocator.ts: changes.endWrite(position, end, result >= 0); → changes.endWrite(0, 0, true); if (result >= 0) changes.beginWrite(end), changes.endWrite(0, end, true);
closes without a sync
  writer/writer.ts: syncOnClose && isChanged ? → syncOnClose && false ?
publishes a name and forgets the directory
  file/naming.ts: await this.sync(); →
publishes an atomic file of which a write has failed
  file/open_file.ts: if (durability.failure) throw durability.failure.error;\n    if → if
publishes an atomic file that is not durable
  file/open_file.ts: if (!durability.isDurable) await durability.sync(false); →
cuts off what another handle has written behind its end
  file/file_changes.ts: fileSystem.identifiesFiles ? → false ?
does not sync what another handle has cut
  file/file_changes.ts: for (const { durability } of this.#handles) durability.noteChange(); → [...this.#handles][0].durability.noteChange();
counts as content what another writer has reserved
  file/file_changes.ts: mayBeReserved ? 0 : known → known
# A reader that is wrong in one place.
gives out what was read first, and not what comes first
  reader/read_ahead.ts: const read = this.#queue[0];\n    if (!read?.hasEnded) return undefined;\n    const { bytesDone → const read = this.#queue.find(({ hasEnded }) => hasEnded); if (!read) return undefined; const { bytesDone
gives a buffer back that a read still has when it is cancelled
  reader/read_ahead.ts: if (read.hasEnded) this.#free(read);\n      else this.#unwanted++; → this.#free(read); if (!read.hasEnded) this.#unwanted++;
reads past the end of its range
  reader/read_ahead.ts: Math.min(bytesDone, this.options.end - position, from + most) → Math.min(bytesDone, from + most)
skips past the end of the file
  reader/read_ahead.ts: Math.min(this.position + bytes, this.options.end, furthest) → Math.min(this.position + bytes, this.options.end)
loses the buffer of a read that was skipped
  reader/read_ahead.ts: this.#unwanted--;\n      this.#free(read); → this.#unwanted--;
closes the file under its reads
  reader/read_ahead.ts: descriptor.acquire("read"); →
  reader/read_ahead.ts: this.file.descriptor.release(); →
`;

export const controls: readonly Control[] = text.split(/\n(?=\w)/).slice(1).map((entry) => {
  const [name, ...lines] = entry.split("\n").filter((line) => line && !line.startsWith("#"));
  return { name: name!, changes: lines.map(changeOf) };
});

function changeOf(line: string): Change {
  const [, file, from, to] = /^ {2}(\S+): (.+) →(?: (.+))?$/.exec(line)!;
  const textOf = (part = "") => part.replaceAll("\\n", "\n");
  return { file: `src/${file}`, from: textOf(from), to: textOf(to) };
}
