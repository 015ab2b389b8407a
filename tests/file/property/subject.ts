// Runs a random program against a real file and against the model, and compares.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import { joined, pattern } from "../../support/bytes.ts";
import { Model, WriterModel } from "./model.ts";
import type { Opening, Operation } from "./operations.ts";

const usual: Opening = {
  op: "open",
  place: "start",
  position: 0,
  bufferSize: 4096,
  writeBehind: 2,
  preallocate: true,
  sizeHint: 0,
  closeFile: false,
};

/** A file, and what it should be. */
export class Subject {
  readonly #path: string;
  readonly #direct: "prefer" | "off";
  readonly #model = new Model();
  #file: DmaFile | undefined;
  #sealed = false;
  #writer: { stream: DmaStreamWriter; model: WriterModel; closeFile: boolean } | undefined;
  /** Makes each write different from all others. */
  #serial = 0;

  constructor(path: string, direct: "prefer" | "off") {
    this.#path = path;
    this.#direct = direct;
  }

  /** Runs a program, and looks at what it leaves. */
  async run(program: readonly Operation[]): Promise<void> {
    try {
      for (const operation of program) await this.#do(operation);
      await this.#finish("close");
      await this.#file?.close();
      this.#file = undefined;
      assertEquals(await Deno.readFile(this.#path).catch(() => new Uint8Array()), this.#expected);
    } finally {
      await this.#file?.close().catch(() => {});
    }
  }

  get #expected(): Uint8Array<ArrayBuffer> {
    return this.#model.content;
  }

  async #do(operation: Operation): Promise<void> {
    switch (operation.op) {
      case "open":
        return await this.#open(operation);
      case "write":
        return await this.#write(operation);
      case "flush":
        return await this.#flush();
      case "sync":
        return await this.#sync(operation);
      case "finish":
        return await this.#finish(operation.how);
      case "read":
      case "readMany":
      case "stream":
        return await this.#read(operation);
      case "reopen":
        return await this.#reopen(operation.empty);
      default:
        return await this.#change(operation);
    }
  }

  // ---- the file -------------------------------------------------------------------------------------------------

  async #opened(): Promise<DmaFile> {
    if (!this.#file) await this.#reopen(this.#expected.length === 0);
    return this.#file!;
  }

  async #reopen(empty: boolean): Promise<void> {
    await this.#finish("close");
    await this.#file?.close();
    this.#sealed = false;
    if (empty) {
      this.#file = await DmaFile.create(this.#path, { direct: this.#direct });
      this.#model.made();
    } else {
      const options = { write: true, create: true, direct: this.#direct };
      const existed = await Deno.stat(this.#path).then(() => true, () => false);
      this.#file = await DmaFile.open(this.#path, options);
      if (existed) this.#model.found();
    }
  }

  async #changeable(): Promise<DmaFile> {
    await this.#finish("close");
    if (this.#sealed) await this.#reopen(false);
    return await this.#opened();
  }

  async #change(operation: Operation): Promise<void> {
    const file = await this.#changeable();
    const model = this.#model;
    const { offset } = file.alignment;
    switch (operation.op) {
      case "writeAt": {
        const bytes = this.#bytes(operation.blocks * offset);
        const position = operation.block * offset;
        if (operation.own || bytes.length === 0) {
          assertEquals(await file.writeAt(bytes, position), bytes.length);
        } else {
          const buffer = file.allocBuffer(bytes.length);
          buffer.bytes.set(bytes);
          assertEquals(await file.writeAt(buffer, position), bytes.length);
          assertEquals(buffer.bytes.slice(), bytes);
        }
        model.put(bytes, position);
        break;
      }
      case "truncate":
        await file.truncate(operation.length);
        model.resize(operation.length);
        if (model.kept !== Infinity) model.kept = operation.length;
        break;
      case "preallocate":
        await file.preallocate(operation.length, { keepSize: operation.keepSize });
        if (!operation.keepSize) {
          model.resize(Math.max(model.content.length, operation.length));
        }
        break;
      case "deallocate": {
        await file.deallocate(operation.position, operation.length);
        const { position, length } = operation;
        model.content.fill(0, position, position + length);
        break;
      }
      case "copy": {
        const { position, length, target } = operation;
        const bytes = model.slice(position, length);
        const overlaps = position < target + bytes.length && target < position + bytes.length;
        if (overlaps) break;
        assertEquals(await file.copyRangeTo(file, position, length, target), bytes.length);
        model.put(bytes, target);
        break;
      }
    }
    assertEquals(await file.size(), model.content.length, `length after ${operation.op}`);
  }

  #bytes(length: number): Uint8Array<ArrayBuffer> {
    return pattern(length, 104_729 * ++this.#serial);
  }

  // ---- the writer -----------------------------------------------------------------------------------------------

  async #open(opening: Opening): Promise<void> {
    const file = await this.#changeable();
    const { place, position, bufferSize, writeBehind, preallocate, sizeHint, closeFile } = opening;
    const append = place === "append";
    const at = place === "position" ? position : 0;
    const stream = new DmaStreamWriter(file, {
      ...(append ? { append } : { position: at }),
      bufferSize,
      writeBehind,
      preallocate,
      sizeHint,
      closeFile,
      syncOnClose: this.#serial % 4 === 0,
    });
    const start = append ? this.#expected.length : at;
    // Where the file's length must be asked for, the position is known a little later.
    await stream.flushAligned();
    const model = new WriterModel(this.#model, start, append);
    this.#writer = { stream, model, closeFile };
    this.#look();
  }

  #look(): void {
    const { stream, model } = this.#writer!;
    model.check(stream.currentPos, stream.currentFlushedPos);
  }

  async #write({ size, how }: Extract<Operation, { op: "write" }>): Promise<void> {
    if (!this.#writer) await this.#open(usual);
    const { stream, model } = this.#writer!;
    const bytes = this.#bytes(how === "buffer" ? stream.file.alignUp(Math.max(1, size)) : size);
    // Whoever writes may do anything with the bytes afterwards.
    const given = bytes.slice();
    switch (how) {
      case "stream":
        await stream.write(given);
        break;
      case "lock": {
        const writer = stream.getWriter();
        await writer.write(given);
        writer.releaseLock();
        break;
      }
      case "buffer": {
        const buffer = stream.file.allocBuffer(bytes.length);
        buffer.bytes.set(bytes);
        await stream.writeBuffer(buffer);
        assertEquals(buffer.bytes.length, 0);
        break;
      }
      case "burst": {
        const cuts = [0, size >> 3, size >> 1, size];
        const writes = cuts.slice(1).map((cut, index) =>
          stream.write(given.subarray(cuts[index], cut))
        );
        await Promise.all(writes);
        break;
      }
    }
    given.fill(0);
    model.write(bytes);
    this.#look();
  }

  async #flush(): Promise<void> {
    if (!this.#writer) return;
    const { stream, model } = this.#writer;
    const flushed = await stream.flushAligned();
    assert(flushed >= model.position - model.position % stream.bufferSize - stream.bufferSize);
    assert(flushed <= stream.currentFlushedPos, `flush ${flushed}`);
    this.#look();
  }

  async #sync({ tail, during }: Extract<Operation, { op: "sync" }>): Promise<void> {
    if (!this.#writer) return;
    const { stream, model } = this.#writer;
    const least = tail ? model.position : model.flushed;
    const syncing = [stream.sync({ tail }), stream.sync()];
    const bytes = this.#bytes(during);
    await stream.write(bytes);
    model.write(bytes);
    for (const synced of await Promise.all(syncing)) {
      assert(synced <= stream.currentFlushedPos, `synced ${synced}`);
    }
    assert(await syncing[0]! >= least, `synced ${await syncing[0]}, of ${least}`);
    this.#look();
  }

  async #finish(how: Extract<Operation, { op: "finish" }>["how"]): Promise<void> {
    if (!this.#writer) return;
    const { stream, model, closeFile } = this.#writer;
    if (how === "close") await stream.close();
    else if (how === "dispose") await stream[Symbol.asyncDispose]();
    else if (how === "seal") await stream.seal();
    else if (how === "lock") {
      const writer = stream.getWriter();
      await writer.close();
      writer.releaseLock();
    } else await stream.abort();
    this.#writer = undefined;
    const closed = how === "seal" ? false : closeFile;
    this.#sealed = how === "seal";
    if (how === "abort") {
      model.check(stream.currentPos, stream.currentFlushedPos);
      model.abort(await Deno.readFile(this.#path));
    } else {
      assertEquals(stream.currentFlushedPos, model.position, "flushed after close");
      model.close();
      assertEquals(await Deno.readFile(this.#path), this.#expected, `after ${how}`);
    }
    if (closed) this.#file = undefined;
  }

  // ---- reading --------------------------------------------------------------------------------------------------

  async #read(
    operation: Extract<Operation, { op: "read" | "readMany" | "stream" }>,
  ): Promise<void> {
    const file = await this.#opened();
    const writer = this.#writer?.model;
    if (writer) {
      // While a writer is at work only what is flushed can be told.
      const { start, flushed, written } = writer;
      const bytes = await file.readAt(start, flushed - start);
      assertEquals(bytes, written.slice(0, flushed - start), "what is flushed");
      return;
    }
    switch (operation.op) {
      case "read": {
        const { position, length } = operation;
        const bytes = await file.readAt(position, length);
        assertEquals(bytes, this.#model.slice(position, length), "readAt");
        break;
      }
      case "readMany": {
        const { ranges, maxGap } = operation;
        const results = await Array.fromAsync(file.readMany(ranges, { maxGap }));
        for (const [index, { position, length }] of ranges.entries()) {
          const { bytes } = results[index]!;
          assertEquals(bytes, this.#model.slice(position, length), "readMany");
        }
        break;
      }
      case "stream":
        await this.#stream(file, operation);
    }
  }

  async #stream(file: DmaFile, operation: Extract<Operation, { op: "stream" }>): Promise<void> {
    const { start, length, bufferSize, readAhead, skip, view } = operation;
    const end = start + length;
    const options = { start, end, bufferSize, readAhead, closeFile: false };
    const stream = new DmaStreamReader(file, options);
    const expected = this.#model.slice(start, length);
    const first: Uint8Array[] = [];
    if (view > 0) {
      const reader = stream.getReader({ mode: "byob" });
      const { done, value } = await reader.read(new Uint8Array(view));
      if (!done) first.push(value);
      reader.releaseLock();
    }
    const given = joined(...first).length;
    stream.skip(skip);
    const rest = joined(...await Array.fromAsync(stream));
    assertEquals(joined(...first), expected.slice(0, given), "first of a stream");
    assertEquals(rest, expected.slice(given + skip), "rest of a stream");
  }
}
