// The devices of descriptors, and whether calls for files on them may wait for a server or another program.

import { addressOf } from "../../ffi/address.ts";
import type { Shim } from "../../ffi/shim.ts";
import { Opcode } from "./linux.ts";
import type { Bytes } from "./operation.ts";
import { addressOfPath, readKernelFile } from "./process.ts";
import { u32 } from "./struct.ts";

/** A minor device number has 20 bits. */
const MINORS = 0x100000;

/** Whether a device has a major number, as a file system on a disk has, except btrfs. Overlay and tmpfs have none. */
export function hasDisk(device: number | undefined): boolean {
  return device !== undefined && device >= MINORS;
}

export class Devices {
  readonly #devices: (number | undefined)[] = [];
  /** A device by mount. A mount with the number of an earlier one is mistaken for it until a statx(2). */
  readonly #mounts = new Map<number, number>();
  /** The mounts of descriptors whose device no statx(2) has shown yet. */
  readonly #unseen = new Map<number, number>();
  readonly #local = new Map<number | undefined, boolean>();
  /** The shim's `struct identity`: the number of a mount, the length and the type of a file handle, and the handle. */
  readonly #identity = new Uint32Array(35);
  readonly #identityAddress = addressOf(this.#identity);

  constructor(readonly shim: Shim) {}

  of(fd: number): number | undefined {
    return this.#devices[fd];
  }

  /** Records the result of statx(2) for a descriptor. */
  note(fd: number, bytes: Bytes): void {
    // struct statx: stx_dev_major and stx_dev_minor.
    const device = u32(bytes, 136) * MINORS + u32(bytes, 140);
    this.#devices[fd] = device;
    const mount = this.#unseen.get(fd);
    if (mount !== undefined) this.#mounts.set(mount, device);
    this.#unseen.delete(fd);
  }

  /** Records that a file was opened in a directory. It is on the same device, unless statx(2) shows another one. */
  noteOpen(fd: number, directory: number): void {
    const device = this.#devices[directory];
    if (device !== undefined) this.#devices[fd] = device;
  }

  forget(fd: number): void {
    this.#devices[fd] = undefined;
    this.#unseen.delete(fd);
  }

  setLocal(fd: number, local: boolean): void {
    const device = this.#devices[fd];
    if (device !== undefined) this.#local.set(device, local);
  }

  /** The value set by {@linkcode setLocal}; undefined if there is none for the device. */
  isLocalDevice(device: number | undefined): boolean | undefined {
    return this.#local.get(device);
  }

  /** Whether the kernel certainly has the facts of a descriptor's file in memory; undefined if that is not known. */
  isLocal(fd: number): boolean | undefined {
    // A statx(2) of another descriptor on the same mount may have shown the device.
    return this.isLocalDevice(this.#devices[fd] ?? this.#mounts.get(this.#mountOf(fd)));
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
