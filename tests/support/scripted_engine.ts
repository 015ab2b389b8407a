// An engine over files that are byte arrays. It holds every operation until the test ends it, for tests of the operations
// and their order. The kernel of tests/simulator finds operations that must not be submitted.

import type { Engine } from "../../src/engine/engine.ts";
import { Errno } from "../../src/engine/linux.ts";
import type { Completion, Memory, Operation } from "../../src/engine/operation.ts";
import { ScriptedFile, writeStat } from "./scripted_disk.ts";
import { HoldingEngine } from "./scripted_hold.ts";

const FALLOC_FL_KEEP_SIZE = 1;

/**
 * Implements {@linkcode Engine} over {@linkcode ScriptedFile}. No completion is ever delivered while the call that
 * submitted it is running.
 */
export class ScriptedEngine extends HoldingEngine implements Engine {
  readonly name = "scripted";
  #lastFd = 2;

  /** Opens a new file without a name. */
  create(content?: Uint8Array): number {
    const fd = ++this.#lastFd;
    this.files.set(fd, new ScriptedFile(content));
    return fd;
  }

  submit(operation: Operation, completion: Completion): void {
    this.hold(operation, completion, this.#effectOf(operation));
  }

  flush(): void {
    this.counters.submissions++;
  }

  /** Ends the operation that was submitted first. */
  waitNow(): boolean {
    const [first] = this.pending;
    if (first) this.complete(first);
    return first !== undefined;
  }

  runNow(operation: Operation): number {
    return this.#effectOf(operation)("length" in operation ? operation.length : 0);
  }

  /** The effect of an operation when it ends, with at most `most` bytes. */
  #effectOf(operation: Operation): (most: number) => number {
    switch (operation.op) {
      case "close":
        return () => this.files.delete(operation.fd) ? 0 : -Errno.EBADF;
      case "read": {
        const { fd, memory, offset, position } = operation;
        return (most) => this.file(fd).read(position, memory.bytes.subarray(offset, offset + most));
      }
      case "write": {
        const { fd, memory, offset, position } = operation;
        return (most) => {
          this.file(fd).write(position, memory.bytes.subarray(offset, offset + most));
          return most;
        };
      }
      case "sync": {
        // Writes that complete after the submission of a sync may be too late for it.
        const now = this.files.get(operation.fd)?.content();
        return () => {
          this.file(operation.fd).durable = now!;
          return 0;
        };
      }
      case "allocate":
        return (most) => {
          const { fd, mode, position } = operation;
          if (!(mode & FALLOC_FL_KEEP_SIZE)) this.file(fd).grow(position + most);
          return 0;
        };
      case "truncate":
        return () => {
          this.file(operation.fd).truncate(operation.length);
          return 0;
        };
      case "stat":
        return () => this.statNow(operation.fd, operation.memory);
      case "statfs":
        return () => {
          operation.memory.bytes.fill(0, 0, 120);
          return 0;
        };
      case "copyRange":
        return (most) => {
          const { fd, position, targetFd, targetPosition } = operation;
          const bytes = this.file(fd).content(position, position + most);
          this.file(targetFd).write(targetPosition, bytes);
          return bytes.length;
        };
      // No file here has a name.
      case "open":
      case "link":
      case "rename":
      case "unlink":
        return () => -Errno.EOPNOTSUPP;
      case "lock":
      case "pause":
        return () => 0;
    }
  }

  closeNow(fd: number): void {
    this.log.push("close now");
    this.files.delete(fd);
  }

  statNow(fd: number, memory: Memory): number {
    const file = this.files.get(fd);
    if (!file) return -Errno.EBADF;
    writeStat(memory.bytes, { size: file.size, inode: fd, alignment: this.alignment });
    return 0;
  }

  /** Fails, so that every directory is looked up by an operation, which can be held. */
  openDirectoryNow(): number {
    return -Errno.EAGAIN;
  }

  openWorkingDirectory(): number {
    return this.create();
  }

  setThreaded(): void {}

  isLocal(): boolean {
    return true;
  }

  setFlags(): number {
    return 0;
  }

  realPath(): undefined {
    return undefined;
  }
}

export { turn } from "./scripted_hold.ts";
