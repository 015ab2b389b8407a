// The writes of a writer in the order of their positions: how many are in flight, which have to wait, how one
// that the kernel cut short goes on, and how far everything is whole.

import type { Engine } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import type { Completion, Memory } from "../engine/operation.ts";
import { type DmaError, ioError } from "../errors.ts";
import type { EndOfFile } from "./end_of_file.ts";

/** Attempts in a row that bring nothing before a write counts as failed. */
const PATIENCE = 3;
/** The same for attempts that the kernel says were interrupted: those are nobody's fault. */
const INTERRUPTIONS = 100;

/** One contiguous write. Position, offset and length are aligned. */
export interface Piece {
  readonly memory: Memory;
  /** Where in the memory it starts. */
  readonly offset: number;
  readonly length: number;
  readonly position: number;
  /** Where the bytes end that are meant to be there; what follows up to `length` is padding. */
  readonly dataEnd: number;
  /** Called when the kernel is done with the memory, or never had it. */
  readonly release: () => void;
}

/** What a {@linkcode WriteLine} is made of. */
export interface WriteLineOptions {
  engine: Engine;
  fd: number;
  /** For messages. */
  path: string;
  alignment: number;
  /** Whether writes go past the page cache. */
  direct: boolean;
  /** Writes in flight at most. */
  writeBehind: number;
  /** Where the first byte goes. */
  start: number;
  endOfFile: EndOfFile;
  /** Called when the kernel is done with a write. */
  progressed: () => void;
  /** Called with each write that failed. */
  failed: (error: DmaError) => void;
}

/** A piece on its way. */
class Write implements Completion {
  launched = false;
  whole = false;
  /** Bytes of it that are on disk, in whole blocks. */
  put = 0;
  fruitless = 0;
  constructor(readonly line: WriteLine, readonly piece: Piece) {}
  complete(result: number): void {
    this.line.completed(this, result);
  }
  get end(): number {
    return this.piece.position + this.piece.length;
  }
}

/** Puts pieces in flight as far as there are places, and knows what has become of them. */
export class WriteLine {
  readonly #options: WriteLineOptions;
  /** Those that are not whole, and whole ones behind one that is not. */
  readonly #line: Write[] = [];
  /** Those that wait for a place in flight. */
  readonly #ready: Write[] = [];
  #held = false;
  #stopped = false;
  /** The end of the last one that was put in flight. */
  #launchedEnd = 0;
  /** Writes with the kernel. */
  inFlight = 0;
  /** The end of the contiguous prefix that is on disk. Never goes back. */
  flushed: number;
  /** Counts what the kernel did to the file. */
  changes = 0;

  constructor(options: WriteLineOptions) {
    this.#options = options;
    this.flushed = options.start;
  }

  /** Whether nothing is in flight, nor about to be. */
  get idle(): boolean {
    return this.inFlight === 0 && this.#ready.length === 0;
  }

  /** Queues a piece behind the last one. */
  queue(piece: Piece): void {
    const write = new Write(this, piece);
    this.#line.push(write);
    this.#ready.push(write);
    this.launch();
  }

  /** Nothing is put in flight until {@linkcode letGo}. */
  hold(): void {
    this.#held = true;
  }

  /** Goes on after {@linkcode hold}. */
  letGo(): void {
    this.#held = false;
    this.launch();
  }

  /** Nothing is begun any more: nothing may follow a hole. */
  stop(): void {
    this.#stopped = true;
    for (const { piece } of this.#ready.splice(0)) piece.release();
  }

  /** Puts in flight what can be. */
  launch(): void {
    const { engine, writeBehind } = this.#options;
    let launched = false;
    while (this.#ready.length > 0 && this.inFlight < writeBehind && !this.#held) {
      const write = this.#ready[0]!;
      // Never two writes in flight on one block: a tail that was written early is written again with its buffer.
      if (write.piece.position < this.#launchedEnd && this.#overlapsFlight(write)) break;
      this.#ready.shift();
      this.#launch(write);
      this.#submit(write);
      launched = true;
    }
    if (launched) engine.flush();
  }

  #launch(write: Write): void {
    this.#launchedEnd = write.end;
    this.#options.endOfFile.beforeWrite(write.end);
    this.inFlight++;
    write.launched = true;
  }

  #overlapsFlight({ piece, end }: Write): boolean {
    return this.#line.some((other) =>
      other.launched && !other.whole && other.end > piece.position && other.piece.position < end
    );
  }

  #submit(write: Write): void {
    const { engine, fd, direct } = this.#options;
    const { piece: { memory, offset, length, position }, put } = write;
    engine.submit({
      op: "write",
      fd,
      memory,
      offset: offset + put,
      length: length - put,
      position: position + put,
      buffered: !direct,
    }, write);
  }

  /** The kernel is done with a write, or with a part of it. */
  completed(write: Write, result: number): void {
    const { path } = this.#options;
    const { piece } = write;
    const interrupted = result === -Errno.EINTR || result === -Errno.EAGAIN;
    if (result < 0 && !interrupted) {
      this.#lose(write, ioError(-result, "write", path));
      return;
    }
    if (!interrupted) this.changes++;
    const end = write.put + Math.max(0, result);
    if (end < piece.length && !this.#stopped) {
      // Short: what is left is tried again, from the start of the block where it stopped.
      const put = end - end % this.#options.alignment;
      if (put > write.put) write.fruitless = 0;
      else if (++write.fruitless > (interrupted ? INTERRUPTIONS : PATIENCE)) {
        const detail = `the write stops at ${piece.position + end}`;
        this.#lose(write, ioError(interrupted ? -result : Errno.EIO, "write", path, detail));
        return;
      }
      write.put = put;
      this.#submit(write);
      return;
    }
    write.whole = end >= piece.length;
    this.#leave(write);
    const line = this.#line;
    while (line.length > 0 && line[0]!.whole) {
      this.flushed = Math.max(this.flushed, line.shift()!.piece.dataEnd);
    }
    this.#options.progressed();
  }

  #lose(write: Write, error: DmaError): void {
    this.#leave(write);
    this.#options.failed(error);
  }

  #leave({ piece }: Write): void {
    this.inFlight--;
    piece.release();
  }
}
