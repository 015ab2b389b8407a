// An engine in JavaScript's memory, over files that are byte arrays. It holds every operation until the test ends
// it, and judges its user: what a kernel would turn into lost bytes is a violation here.

import type { Completion, Engine, Memory } from "../../src/engine/engine.ts";
import { ScriptedFile, writeStat } from "./scripted_disk.ts";
import { HoldingEngine } from "./scripted_hold.ts";

const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;

/**
 * Implements {@linkcode Engine} over {@linkcode ScriptedFile}. No completion is ever delivered while the call that
 * queued it is running.
 */
export class ScriptedEngine extends HoldingEngine implements Engine {
  readonly name = "scripted";
  /** Files by path. */
  readonly names: Map<string, ScriptedFile> = new Map();
  #lastFd = 2;

  /** Opens a new file without a name. */
  create(content?: Uint8Array): number {
    const fd = ++this.#lastFd;
    this.files.set(fd, new ScriptedFile(content));
    return fd;
  }

  open(_directory: number, path: string, flags: number, _mode: number, done: Completion): void {
    this.hold("open", -1, 0, 0, done, () => {
      let file = this.names.get(path);
      if (file && flags & O_CREAT && flags & O_EXCL) return -17;
      if (!file && !(flags & O_CREAT)) return -2;
      if (!file) this.names.set(path, file = new ScriptedFile());
      if (flags & O_TRUNC) file.truncate(0);
      this.files.set(++this.#lastFd, file);
      return this.#lastFd;
    });
  }

  close(fd: number, done: Completion): void {
    this.hold("close", fd, 0, 0, done, () => this.files.delete(fd) ? 0 : -9);
  }

  closeNow(fd: number): void {
    this.assertClosable(fd);
    this.log.push("close now");
    this.files.delete(fd);
  }

  read(
    fd: number,
    memory: Memory,
    offset: number,
    length: number,
    position: number,
    done: Completion,
  ): void {
    const effect = (most: number) =>
      this.file(fd).read(position, memory.bytes.subarray(offset, offset + most));
    this.hold("read", fd, position, length, done, effect, memory, offset);
  }

  write(
    fd: number,
    memory: Memory,
    offset: number,
    length: number,
    position: number,
    _copies: boolean,
    done: Completion,
  ): void {
    const effect = (most: number) => {
      this.file(fd).write(position, memory.bytes.subarray(offset, offset + most));
      return most;
    };
    this.hold("write", fd, position, length, done, effect, memory, offset);
  }

  sync(fd: number, _dataOnly: boolean, done: Completion): void {
    // What completes after a sync was queued may be too late for it.
    const now = this.files.get(fd)?.content();
    this.hold("sync", fd, 0, 0, done, () => {
      this.file(fd).durable = now!;
      return 0;
    });
  }

  allocate(fd: number, mode: number, position: number, length: number, done: Completion): void {
    this.hold("allocate", fd, position, length, done, (most) => {
      const FALLOC_FL_KEEP_SIZE = 1;
      if (!(mode & FALLOC_FL_KEEP_SIZE)) this.file(fd).grow(position + most);
      return 0;
    });
  }

  truncate(fd: number, length: number, done: Completion): void {
    this.hold("truncate", fd, 0, length, done, () => {
      this.file(fd).truncate(length);
      return 0;
    });
  }

  stat(fd: number, memory: Memory, done: Completion): void {
    this.hold("stat", fd, 0, 0, done, () => this.statNow(fd, memory), memory);
  }

  statNow(fd: number, memory: Memory): number {
    const file = this.files.get(fd);
    if (!file) return -9;
    writeStat(memory.bytes, { size: file.size, inode: fd, alignment: this.alignment });
    return 0;
  }

  fileSystem(fd: number, memory: Memory, done: Completion): void {
    this.hold("fileSystem", fd, 0, 0, done, () => {
      memory.bytes.fill(0, 0, 120);
      return 0;
    }, memory);
  }

  link(fd: number, path: string, done: Completion): void {
    this.hold("link", fd, 0, 0, done, () => {
      if (this.names.has(path)) return -17;
      this.names.set(path, this.file(fd));
      return 0;
    });
  }

  rename(path: string, target: string, done: Completion): void {
    this.hold("rename", -1, 0, 0, done, () => {
      const file = this.names.get(path);
      if (!file) return -2;
      this.names.delete(path);
      this.names.set(target, file);
      return 0;
    });
  }

  unlink(path: string, done: Completion): void {
    this.hold("unlink", -1, 0, 0, done, () => this.names.delete(path) ? 0 : -2);
  }

  copyRange(
    from: number,
    position: number,
    to: number,
    target: number,
    length: number,
    done: Completion,
  ): void {
    this.hold("copyRange", to, target, length, done, (most) => {
      const bytes = this.file(from).content(position, position + most);
      this.file(to).write(target, bytes);
      return bytes.length;
    });
  }

  lock(fd: number, _operation: number, done: Completion): void {
    this.hold("lock", fd, 0, 0, done, () => 0);
  }

  realPath(fd: number): string | undefined {
    const file = this.file(fd);
    for (const [path, named] of this.names) if (named === file) return path;
    return undefined;
  }

  submit(): void {
    this.counters.submissions++;
  }
}

export { turn } from "./scripted_hold.ts";
