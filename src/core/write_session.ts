// A writer's time on a file: from finding where it starts to leaving the file whole, durable and closed, or cut.
// It knows nothing of streams, and nothing of the object that users hold.

import type { Memory } from "../engine/operation.ts";
import type { DmaError } from "../errors.ts";
import { discardName, giveUpFile, settleName, syncName, syncsDirectory } from "./end_of_life.ts";
import type { Handle, Occupant } from "./handle.ts";
import { mayVanish } from "./isolate.ts";
import { readWhole, sizeOf } from "./random_access.ts";
import { WriteBehind } from "./write_behind.ts";

/** How a {@linkcode WriteSession} writes. Every number has been checked. */
export interface WriteSessionOptions {
  bufferSize: number;
  writeBehind: number;
  /** Whether size and number of buffers may be less while many streams are at work. */
  sharesMemory: boolean;
  position: number;
  append: boolean;
  sizeHint: number;
  preallocate: boolean;
  syncOnClose: boolean;
  closeFile: boolean;
}

/** Occupies a handle and writes to it. */
export class WriteSession implements Occupant {
  readonly handle: Handle;
  readonly #options: WriteSessionOptions;
  /** There as soon as it is known where to start. */
  core: WriteBehind | undefined;
  /** Settles when {@linkcode core} is there; undefined where it always was. */
  readonly opening: Promise<void> | undefined;
  /** The first failure, or the reason of an abort. Final. */
  error: unknown;
  /** Whether {@linkcode error} is set: a reason may be undefined. */
  failed = false;
  /** Whether it was given up from outside, and did not fail of itself. */
  aborted = false;
  /** Whether the file is finished. */
  closed = false;
  /** The close that was asked for: nothing comes after it, also while it waits for chunks that came before. */
  asked: Promise<unknown> | undefined;
  /** Called once with the first failure. */
  onFailure: (error: unknown) => void = () => {};
  /** Called when it is off the file. */
  onLeft: (session: WriteSession) => void = () => {};
  #leaving: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #ending = false;
  /** The bytes are whole and cut to length: only the name and the descriptor are left to see to. */
  #whole = false;
  #sealing = false;
  /** Where writing starts; before that is known, what is known. */
  #from: number;
  /** What is flushed up to here is no content for certain: it is what was there, or was truncated since. */
  #floor: number;
  /** Whether the file was truncated since this began. */
  #truncated = false;

  constructor(handle: Handle, options: WriteSessionOptions) {
    this.handle = handle;
    this.#options = options;
    this.#from = options.append ? handle.contentEnd : options.position;
    this.#floor = this.#from;
    handle.occupant = this;
    handle.enter("write");
    const { append, position } = options;
    if (handle.ownsSize && !append && position % handle.alignment === 0) {
      this.#start(position, new Uint8Array(0), handle.contentEnd, handle.longest);
    } else {
      this.opening = this.#findStart();
      this.opening.catch((error) => this.#fail(error));
    }
  }

  noteTruncation(): void {
    this.#truncated = true;
    this.#floor = this.flushedPosition;
  }

  /** Closing leaves the descriptor open. */
  keepOpen(): void {
    this.#sealing = true;
  }

  get position(): number {
    return this.core?.position ?? this.#from;
  }

  get flushedPosition(): number {
    return this.core?.flushedPosition ?? this.#from;
  }

  /** Looks at the file where the start depends on it: its length, and what stands before the start. */
  async #findStart(): Promise<void> {
    const { handle } = this;
    const { append, position } = this.#options;
    const size = await sizeOf(handle);
    const start = append ? size : position;
    this.#from = start;
    this.#floor = start;
    const inside = start % handle.alignment;
    const head = new Uint8Array(inside);
    if (inside > 0 && start - inside < size) {
      const block = handle.engine.acquire(handle.alignment);
      try {
        const got = await readWhole(handle, block, 0, handle.alignment, start - inside);
        head.set(block.bytes.subarray(0, Math.min(got, inside)));
      } finally {
        handle.engine.release(block);
      }
    }
    const keep = handle.ownsSize && !append ? handle.contentEnd : size;
    this.#start(start, head, keep, Math.max(size, handle.longest));
  }

  #start(start: number, head: Uint8Array, keep: number, size: number): void {
    const { handle } = this;
    const kept = () => this.#truncated ? 0 : keep;
    const { bufferSize, writeBehind, sharesMemory, preallocate, sizeHint } = this.#options;
    const { engine, fd, path, alignment, direct } = handle;
    this.core = new WriteBehind({
      engine,
      fd,
      path,
      alignment,
      direct,
      start,
      head,
      // What is written past the writer meanwhile stays, too; what is cut off meanwhile does not come back.
      get keep() {
        return Math.max(kept(), handle.contentReach);
      },
      size,
      get reach() {
        return handle.longest;
      },
      get changes() {
        return handle.changes;
      },
      cutting: (work) => handle.cutting(work),
      bufferSize,
      writeBehind,
      budget: sharesMemory ? engine.budget : undefined,
      // An atomic file is never seen with an end that is ahead of its bytes, whatever happens: it is not seen.
      preallocate,
      extendsFreely: handle.extendsFreely,
      sizeHint,
      unsynced: handle.ownsSize || handle.changes > 0,
    });
    this.core.failed = (error) => this.#fail(error);
  }

  /**
   * Takes a whole chunk, whose length was `length` when it was given. Returns nothing where that was possible at once.
   */
  accept(chunk: Uint8Array, length: number): Promise<void> | undefined {
    const { core } = this;
    if (!core || this.failed || chunk.length !== length) {
      return this.#acceptSlowly(chunk, length, 0);
    }
    const taken = core.write(chunk);
    return taken === length ? undefined : this.#acceptSlowly(chunk, length, taken);
  }

  async #acceptSlowly(chunk: Uint8Array, length: number, from: number): Promise<void> {
    const core = await this.ready();
    if (this.#ending) throw new TypeError("Cannot write a stream that is closed");
    for (let at = from;;) {
      // A part of it may be on the disk: what follows would stand in the wrong place.
      if (chunk.length !== length) {
        this.#fail(
          new TypeError(
            "Cannot write a chunk whose buffer is detached or resized before it is taken",
          ),
        );
        throw this.error;
      }
      at += core.write(chunk, at);
      if (at === length) return;
      await core.room();
    }
  }

  /** Takes memory that was handed over: without a copy, unless a buffer is partly filled, or would be by it. */
  async acceptMemory(memory: Memory): Promise<void> {
    const core = await this.ready();
    while (!core.hasRoom && !this.#ending) await core.room();
    const { length } = memory.bytes;
    const fits = length % this.handle.alignment === 0 && core.takesMemory;
    if (fits && !mayVanish) core.writeMemory(memory, 0, length, () => {});
    else await this.#acceptSlowly(memory.bytes, length, 0);
  }

  /** Resolves to the core, when it is there; rejects with the failure. */
  async ready(): Promise<WriteBehind> {
    if (!this.core && this.opening) await this.opening.catch(() => {});
    if (this.failed) throw this.error;
    return this.core!;
  }

  /** As {@linkcode WriteBehind.flush}. */
  async flush(): Promise<number> {
    return await (await this.ready()).flush();
  }

  /**
   * As {@linkcode WriteBehind.sync}, and the first time also the name of a file that was created: bytes that nobody finds
   * are not durable. It begins at once where it can: a close that comes after it must see it.
   */
  sync(tail: boolean): Promise<number> {
    const synced = this.core && !this.failed
      ? this.core.sync(tail)
      : this.ready().then((core) => core.sync(tail));
    return syncsDirectory(this.handle, true) ? this.#syncWithName(synced) : synced;
  }

  async #syncWithName(synced: Promise<number>): Promise<number> {
    const { handle } = this;
    if (handle.closed) return await synced;
    handle.enter("sync");
    const named = syncName(handle).catch((error) => {
      this.#fail(error);
      throw this.failed ? this.error : error;
    });
    const [bytes, name] = await Promise.allSettled([synced, named]);
    handle.leave();
    if (bytes.status === "rejected") throw bytes.reason;
    if (name.status === "rejected") throw name.reason;
    return bytes.value;
  }

  // ---- leaving --------------------------------------------------------------------------------------------------

  /**
   * Drains, cuts to the exact length, makes durable, closes; all of it when `after` has settled. After a failure frees
   * everything and rejects with it.
   */
  close(after?: Promise<void>): Promise<void> {
    return this.#closing ??= this.#close(after);
  }

  async #close(after: Promise<void> | undefined): Promise<void> {
    if (after) await after.catch(() => {});
    if (this.failed) {
      await this.#leaving;
      throw this.error;
    }
    try {
      await this.complete();
    } catch (error) {
      this.#fail(error);
      await this.#leaving;
      throw this.error;
    }
    if (!this.#options.closeFile || this.#sealing) return;
    try {
      await this.handle.close();
    } catch (error) {
      this.failed = true;
      this.error = error;
      throw error;
    }
  }

  /** All of {@linkcode close}; the descriptor is closed along with it where that is possible. */
  async complete(): Promise<void> {
    const core = await this.ready();
    this.#ending = true;
    const { syncOnClose } = this.#options;
    const closeFile = this.#options.closeFile && !this.#sealing;
    const { handle } = this;
    const durable = syncOnClose || handle.publication !== undefined;
    // The directory is synced beside the file: neither waits for the other.
    const named = syncsDirectory(handle, syncOnClose) ? syncName(handle) : undefined;
    named?.catch(() => {});
    try {
      await core.finish(durable);
      this.#whole = true;
    } finally {
      await named?.catch(() => {});
    }
    await named;
    // A sync that was under way may have found that the name cannot be made durable.
    if (this.failed) throw this.error;
    // An atomic file that stays open for more writers is published when it is closed.
    if (closeFile || this.#sealing || !handle.publication) await settleName(handle, syncOnClose);
    this.#noteContent(core);
    this.closed = true;
    this.#vacate();
  }

  /** Resolves when nothing is left to do, whichever way it ended. */
  async left(): Promise<void> {
    await this.asked?.catch(() => {});
    await this.#closing?.catch(() => {});
    await this.#leaving?.catch(() => {});
  }

  /** Gives up what is not whole; the file is cut to what is, and closed. */
  async abort(reason: unknown): Promise<void> {
    if (this.closed) return;
    // Too late: what is being given its name, or closed, must not be taken away under that.
    if (this.#whole) return await this.left();
    if (!this.failed) {
      this.failed = true;
      this.aborted = true;
      this.error = reason;
      this.#leaving = this.#leave();
    }
    await this.#leaving;
    if (this.#cutError) throw this.#cutError;
  }

  /** The file is closed under the writer. One that is closing already comes first. */
  async evict(reason: unknown): Promise<void> {
    if (!this.#closing && !this.asked) this.#fail(reason);
    await this.left();
  }

  /** Nobody holds the writer any more. */
  async abandon(): Promise<void> {
    if (this.closed || this.failed) return;
    await this.abort(new Error("The writer was dropped without close"));
  }

  #cutError: DmaError | undefined;

  #fail(error: unknown): void {
    if (this.failed || this.closed) return;
    this.failed = true;
    this.error = error;
    this.onFailure(error);
    this.#leaving = this.#leave();
    this.#leaving.catch(() => {});
  }

  async #leave(): Promise<void> {
    const { handle } = this;
    await this.opening?.catch(() => {});
    if (this.core) {
      this.#cutError = await this.core.abort(this.error);
      this.#noteContent(this.core);
    }
    await discardName(handle);
    this.#vacate();
    if (this.#options.closeFile || handle.dropped) await giveUpFile(handle);
  }

  #noteContent({ flushedPosition, longest }: WriteBehind): void {
    const { handle } = this;
    // Without a byte written, where they would have started says nothing of the file.
    if (flushedPosition > this.#floor) {
      handle.contentEnd = Math.max(handle.contentEnd, flushedPosition);
    }
    handle.longest = Math.max(handle.contentEnd, longest);
    handle.changes++;
  }

  #vacate(): void {
    if (this.handle.occupant !== this) return;
    this.handle.occupant = undefined;
    this.handle.leave();
    this.onLeft(this);
  }
}
