// The devices of descriptors.

import { addressOf } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import type { Device } from "./engine.ts";
import { Opcode } from "./linux.ts";
import type { Bytes } from "./operation.ts";
import { addressOfPath, readKernelFile } from "./process.ts";
import { u32 } from "./struct.ts";

/** A minor device number has 20 bits. */
const MINORS = 0x100000;

export class Devices {
  /** By number, and by descriptor. */
  readonly #known = new Map<number, Device>();
  readonly #devices: (Device | undefined)[] = [];
  /**
   * A device of each mount, and the mounts of descriptors without a statx(2). A mount may reuse the number of an
   * earlier one, and is mistaken for it until statx(2) has shown its device.
   */
  readonly #mounts = new Map<number, Device>();
  readonly #unseen = new Map<number, number>();
  /** The shim's `struct identity`: the number of a mount, the length and the type of a file handle, and the handle. */
  readonly #identity = new Uint32Array(35);
  readonly #identityAddress = addressOf(this.#identity);

  constructor(readonly shim: Shim) {}

  of(fd: number): Device | undefined {
    return this.#devices[fd];
  }

  /** Records the result of statx(2) for a descriptor. */
  note(fd: number, bytes: Bytes): void {
    // struct statx: stx_dev_major and stx_dev_minor.
    const major = u32(bytes, 136);
    const create = () => ({ hasDisk: major > 0, isLocal: undefined });
    const device = this.#known.getOrInsertComputed(major * MINORS + u32(bytes, 140), create);
    this.#devices[fd] = device;
    const mount = this.#unseen.get(fd);
    if (mount !== undefined) this.#mounts.set(mount, device);
    this.#unseen.delete(fd);
  }

  /** Records that a file was opened in a directory. It is on the same device, unless statx(2) shows another one. */
  noteOpen(fd: number, directory: number): void {
    this.#devices[fd] = this.#devices[directory];
  }

  forget(fd: number): void {
    this.#devices[fd] = undefined;
    this.#unseen.delete(fd);
  }

  /** As {@linkcode of}. Before a statx(2) of this descriptor, that of another one on its mount has shown the device. */
  find(fd: number): Device | undefined {
    return this.#devices[fd] ?? this.#mounts.get(this.#mountOf(fd));
  }

  /** The number of a descriptor's mount, which needs no server; -1 if it cannot be determined. */
  #mountOf(fd: number): number {
    if (!this.#unseen.has(fd) && this.identify(fd) === undefined) {
      // A file system without file handles, or a sandbox: proc_pid_fdinfo(5).
      const info = readKernelFile(this.shim, `/proc/self/fdinfo/${fd}`) ?? "";
      const mount = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
      if (mount !== undefined) this.#unseen.set(fd, Number(mount));
    }
    return this.#unseen.get(fd) ?? -1;
  }

  /** As `Engine.identify`, also of an open file. */
  identify(fd: number, path = ""): string | undefined {
    const found = this.#identity;
    const address = path === "" ? 0 : addressOfPath(path);
    const result = this.shim.dma_call(Opcode.IDENTIFY, fd, address, 0, this.#identityAddress, 0);
    if (result < 0) return undefined;
    if (path === "") this.#unseen.set(fd, found[0]!);
    return found.subarray(0, 3 + Math.ceil(found[1]! / 4)).join();
  }
}
