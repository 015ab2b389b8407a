// Loads the C shim from memory, for which --allow-ffi suffices, or from the cache folder if the kernel refuses that.

import { ResourceTable, threadExitSymbols } from "./thread_exit.ts";
import { openLibc, openLibrary } from "./library.ts";
import { assertPlatform } from "./platform.ts";
import * as aarch64 from "./shim_aarch64.ts";
import * as x86_64 from "./shim_x86_64.ts";

// With the parameters as in shim.c.
const symbols = {
  dma_abi: { parameters: [], result: "u32" },
  // (double length, uint32_t huge)
  dma_map: { parameters: ["f64", "u32"], result: "f64" },
  // (double address, double length)
  dma_unmap: { parameters: ["f64", "f64"], result: "i32" },
  // (struct io_uring *ring, uint32_t opcode, uint32_t flags, int32_t fd, double address, uint32_t length, double offset,
  //  uint32_t op_flags, uint32_t buffer_index, uint32_t user_data)
  dma_prepare: {
    parameters: ["pointer", "u32", "u32", "i32", "f64", "u32", "f64", "u32", "u32", "u32"],
    result: "i32",
  },
  // (struct io_uring *ring, int32_t *out, uint32_t most)
  dma_reap: { parameters: ["pointer", "pointer", "u32"], result: "i32" },
  // (uint32_t opcode, int32_t fd, double address, uint32_t length, double offset, uint32_t flags)
  dma_call: { parameters: ["u32", "i32", "f64", "u32", "f64", "u32"], result: "i32" },
  // (struct resources *resources, uint32_t place, ...), and then as dma_call.
  dma_call_on_thread: {
    parameters: ["pointer", "u32", "u32", "i32", "f64", "u32", "f64", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // A function with (struct resources *resources), for libc.
  dma_on_thread_exit: { type: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type Functions = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** The shim's functions. */
export interface Shim extends Omit<Functions, "dma_call_on_thread"> {
  /** `dma_call` on one of Deno's own blocking threads. The result is also stored at `place` of `resources.results`. */
  readonly dma_call_on_thread: (
    place: number,
    ...call: Parameters<Functions["dma_call"]>
  ) => Promise<number>;
  /** The resources that are released when this isolate's thread ends. `dma_map` records mappings in it. */
  readonly resources: ResourceTable;
  /** The bytes of a page of memory: up to 65,536 on aarch64. */
  readonly pageSize: number;
}

/** Must equal SHIM_ABI of ffi/shim.c. */
const ABI = 20;

const MFD_CLOEXEC = 1;
const MFD_EXEC = 0x10;

const libcSymbols = {
  memfd_create: { parameters: ["buffer", "u32"], result: "i32", optional: true },
  // (const char *path, int flags, mode_t mode)
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  getpagesize: { parameters: [], result: "i32" },
  ...threadExitSymbols,
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof libcSymbols>["symbols"];

let loaded: Shim | undefined;

/** The shim, loaded at the first call. It stays loaded: a thread may be in one of its functions at any time. */
export function loadShim(): Shim {
  if (loaded) return loaded;
  // Checked first: a user's own shim would not work on another platform either.
  assertPlatform();
  if (environment("DENO_PERMISSION_BROKER_PATH") !== undefined) {
    const why = "Deno does not ask it when the module queries a permission";
    throw new Deno.errors.NotSupported(`Cannot run under a permission broker: ${why}`);
  }
  const override = environment("DMA_SHIM");
  const libc = openLibc(libcSymbols);
  return loaded = override === undefined ? loadEmbedded(libc) : openOverride(libc, override);
}

/** Opens the shim, which stays mapped. Left open, its handle would be a leak in the test that first needs the shim. */
function open(libc: Libc, path: string): Shim {
  const library = openLibrary(path, symbols, ["dma_prepare", "dma_reap", "dma_call"]);
  const functions = library.symbols;
  library.close();
  const abi = functions.dma_abi();
  if (abi !== ABI) {
    throw new Error(`Cannot use the shim ${path}: its interface is ${abi}, expected ${ABI}`);
  }
  const { dma_map, dma_unmap, dma_call_on_thread, dma_on_thread_exit } = functions;
  const resources = new ResourceTable(dma_map, libc, dma_on_thread_exit!);
  return {
    ...functions,
    resources,
    pageSize: libc.getpagesize(),
    dma_map(length, huge) {
      const address = dma_map(length, huge);
      if (address > 0) resources.trackMapping(address, length);
      return address;
    },
    dma_unmap(address, length) {
      resources.untrackMapping(address);
      return dma_unmap(address, length);
    },
    dma_call_on_thread: (...call) => dma_call_on_thread(resources.countCall(), ...call),
  };
}

/** Opens the shim that DMA_SHIM names. */
function openOverride(libc: Libc, path: string): Shim {
  try {
    return open(libc, path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Error(`Cannot load ${path}, which DMA_SHIM names (${reasonOf(error)})`, {
      cause: error,
    });
  }
}

/** A variable of the environment, if it may be read without a prompt. */
export function environment(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) || undefined : undefined;
}

function loadEmbedded(libc: Libc): Shim {
  const { base64 } = Deno.build.arch === "aarch64" ? aarch64 : x86_64;
  const bytes = Uint8Array.fromBase64(base64);
  try {
    return loadFromMemory(libc, bytes);
  } catch (memoryError) {
    if (memoryError instanceof Deno.errors.NotCapable) throw memoryError;
    try {
      return loadFromFile(libc, bytes);
    } catch (error) {
      const reasons = `neither from memory (${reasonOf(memoryError)}) nor from a file (${
        reasonOf(error)
      })`;
      throw new Error(`Cannot load the shim: ${reasons}`, { cause: error });
    }
  }
}

/** The message of an error of `Deno.dlopen`, without the prefix that Deno puts there twice. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^(Could not open library: )+/, "");
}

/**
 * A path of the library in a descriptor. The dynamic linker identifies a library by its path, and the descriptor may have
 * the number of an earlier one. So each ABI has its own form of the path.
 */
function libraryPath(fd: number): string {
  return `/proc/self${"/.".repeat(ABI)}/fd/${fd}`;
}

function loadFromMemory(libc: Libc, bytes: Uint8Array<ArrayBuffer>): Shim {
  const { memfd_create } = libc;
  if (!memfd_create) throw new Error("libc has no memfd_create");
  const name = new TextEncoder().encode("dma-shim\0");
  // MFD_EXEC requests an executable file even if the system's default differs. Kernels before 6.3 refuse the flag.
  let fd = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
  if (fd < 0) fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) throw new Error("memfd_create failed");
  return loadThrough(libc, fd, bytes, libraryPath(fd));
}

/** Writes the shim to a new file, loads it by `path`, and closes the descriptor. */
function loadThrough(libc: Libc, fd: number, bytes: Uint8Array<ArrayBuffer>, path: string): Shim {
  try {
    if (Number(libc.write(fd, bytes, BigInt(bytes.length))) !== bytes.length) {
      throw new Error(`its ${bytes.length} bytes cannot be written: ulimit -f, or no room`);
    }
    return open(libc, path);
  } finally {
    libc.close(fd);
  }
}

/** O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC. */
const NEW_FILE = 0o2000302;

/**
 * Loads the shim from a temporary file in the user's cache folder. It is loaded through the descriptor that created it,
 * so that the loaded bytes are the written ones, whatever happens to its name.
 */
function loadFromFile(libc: Libc, bytes: Uint8Array<ArrayBuffer>): Shim {
  const home = environment("HOME");
  // A relative path is ignored, as by other programs (XDG Base Directory Specification).
  const base = [environment("XDG_CACHE_HOME"), home && `${home}/.cache`]
    .find((path) => path?.startsWith("/"));
  if (!base) throw new Error("neither XDG_CACHE_HOME nor HOME can be read");
  const folder = `${base}/denodma`;
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  assertOwn(folder, libc.geteuid());
  const path = `${folder}/shim-${crypto.randomUUID()}.so`;
  const name = new TextEncoder().encode(`${path}\0`);
  const fd = libc.open(name, NEW_FILE, 0o500);
  if (fd < 0) throw new Error(`${path} cannot be made`);
  try {
    // Without /proc the path is used. No other user can write to its folder.
    return loadThrough(libc, fd, bytes, exists("/proc/self/fd") ? libraryPath(fd) : path);
  } finally {
    libc.unlink(name);
  }
}

/** Throws if a folder belongs to another user, or others may write to it. */
function assertOwn(path: string, user: number): void {
  const { uid, mode, isSymlink } = Deno.lstatSync(path);
  if (uid === user && (mode! & 0o022) === 0 && !isSymlink) return;
  throw new Error(`${path} is a link, belongs to another user, or others may write to it`);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
