// The devices that descriptors are on, and whether a server or another program may have to be asked for files on them.

import type { Shim } from "../../ffi/shim.ts";
import { AT_EMPTY_PATH, Opcode } from "./linux.ts";
import { readKernelFile } from "./process.ts";

/** A number for the device in a `struct statx`. */
function deviceIn(bytes: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(136, true) * 2 ** 20 + view.getUint32(140, true);
}

/** The number of the mount of a descriptor, for which no server is asked; -1 if it cannot be found out. */
function mountOf(shim: Shim, fd: number): number {
  const mount = shim.dma_call(Opcode.MOUNT_ID, fd, 0, 0, 0, AT_EMPTY_PATH);
  if (mount >= 0) return mount;
  // A file system without file handles, or a sandbox: proc_pid_fdinfo(5).
  const info = readKernelFile(shim, `/proc/self/fdinfo/${fd}`, 4096) ?? "";
  return Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? -1);
}

/** Remembers what statx(2) has shown. */
export class Devices {
  readonly #devices = new Map<number, number>();
  /**
   * A device of each mount, and the mounts of descriptors that statx(2) was not called for. A mount may have the number of
   * one that is gone: it is taken for that until statx(2) has shown its device.
   */
  readonly #mounts = new Map<number, number>();
  readonly #unseen = new Map<number, number>();
  readonly #threaded = new Map<number, boolean>();
  readonly #shim: Shim;

  constructor(shim: Shim) {
    this.#shim = shim;
  }

  /** The device of a descriptor; undefined if it is not known. */
  of(fd: number): number | undefined {
    return this.#devices.get(fd);
  }

  /** statx(2) was called for a descriptor: `bytes` are its result. */
  note(fd: number, bytes: Uint8Array<ArrayBuffer>): void {
    const device = deviceIn(bytes);
    this.#devices.set(fd, device);
    const mount = this.#unseen.get(fd);
    if (mount !== undefined) this.#mounts.set(mount, device);
    this.#unseen.delete(fd);
  }

  /** A file was opened in a directory. It is on the same device, unless statx(2) shows another one. */
  noteOpen(fd: number, directory: number): void {
    const device = this.#devices.get(directory);
    if (device !== undefined) this.#devices.set(fd, device);
  }

  /** A descriptor is being closed. */
  forget(fd: number): void {
    this.#devices.delete(fd);
    this.#unseen.delete(fd);
  }

  /** Whether the calls for files on a descriptor's device belong on threads. */
  setThreaded(fd: number, threaded: boolean): void {
    const device = this.#devices.get(fd);
    if (device !== undefined) this.#threaded.set(device, threaded);
  }

  /** The value of {@linkcode setThreaded}; undefined if it was never called for the device. */
  isThreaded(device: number | undefined): boolean | undefined {
    return device === undefined ? undefined : this.#threaded.get(device);
  }

  /** Whether the kernel certainly has the facts of a descriptor's file in memory. */
  isLocal(fd: number): boolean {
    return this.isThreaded(this.#devices.get(fd) ?? this.#deviceOfMount(fd)) === false;
  }

  /** The device that statx(2) showed for another descriptor of the same mount. */
  #deviceOfMount(fd: number): number | undefined {
    const mount = mountOf(this.#shim, fd);
    if (mount >= 0) this.#unseen.set(fd, mount);
    return this.#mounts.get(mount);
  }
}
