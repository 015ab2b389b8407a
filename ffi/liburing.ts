// Opens the system's liburing, and declares the functions that are used.

import { openLibc, openLibrary } from "./library.ts";
import { environment, reasonOf } from "./shim.ts";

// With the parameters as in liburing.h. The ring is a `struct io_uring *` of its own memory.
const symbols = {
  // (unsigned entries, struct io_uring *ring, struct io_uring_params *p)
  io_uring_queue_init_params: { parameters: ["u32", "pointer", "buffer"], result: "i32" },
  // (struct io_uring *ring)
  io_uring_queue_exit: { parameters: ["pointer"], result: "void" },
  // (struct io_uring *ring)
  io_uring_submit: { parameters: ["pointer"], result: "i32" },
  // (struct io_uring *ring, int fd)
  io_uring_register_eventfd: { parameters: ["pointer", "i32"], result: "i32" },
  // (struct io_uring *ring, struct io_uring_probe *p, unsigned nr)
  io_uring_register_probe: { parameters: ["pointer", "buffer", "u32"], result: "i32" },
  // Since liburing 2.2: (struct io_uring *ring, unsigned nr)
  io_uring_register_buffers_sparse: {
    parameters: ["pointer", "u32"],
    result: "i32",
    optional: true,
  },
  // Since liburing 2.1:
  // (struct io_uring *ring, unsigned off, const struct iovec *iovecs, const __u64 *tags, unsigned nr)
  io_uring_register_buffers_update_tag: {
    parameters: ["pointer", "u32", "buffer", "pointer", "u32"],
    result: "i32",
    optional: true,
  },
  // Since liburing 2.1: (struct io_uring *ring, unsigned int *values)
  io_uring_register_iowq_max_workers: {
    parameters: ["pointer", "buffer"],
    result: "i32",
    optional: true,
  },
  // Since liburing 2.4. Older versions do not report theirs.
  io_uring_major_version: { parameters: [], result: "i32", optional: true },
  io_uring_minor_version: { parameters: [], result: "i32", optional: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** liburing's functions. */
export type Liburing = Deno.DynamicLibrary<typeof symbols>["symbols"];

const RTLD_NOW = 2;
const RTLD_NOLOAD = 4;
const RTLD_NODELETE = 0x1000;

const NAME = "liburing.so.2";
/** The command that installs it, by distribution. */
const PACKAGES =
  "apt install liburing2, dnf install liburing, pacman -S liburing, apk add liburing";

/** The name, and the paths on common distributions. */
function candidates(): string[] {
  const triplet = `${Deno.build.arch}-linux-gnu`;
  return [
    NAME,
    `/usr/lib/${triplet}/${NAME}`,
    `/lib/${triplet}/${NAME}`,
    `/usr/lib64/${NAME}`,
    `/usr/lib/${NAME}`,
  ];
}

/** Opens liburing. Throws NotFound, which names the package to install, or the wrong DMA_LIBURING. */
export function openLiburing(): Liburing {
  const override = environment("DMA_LIBURING");
  let reason = "";
  for (const name of override === undefined ? candidates() : [override]) {
    try {
      const library = openLibrary(name, symbols, ["io_uring_submit"]);
      keep(name);
      // Otherwise Deno would report a leak in the test that first needs liburing.
      library.close();
      return library.symbols;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      reason ||= reasonOf(error);
    }
  }
  throw new Deno.errors.NotFound(
    override === undefined
      ? `Cannot load ${NAME} (${reason}). Install it with one of: ${PACKAGES}`
      : `Cannot load ${override}, which DMA_LIBURING names (${reason}). ` +
        `Unset it to use the system's, from one of: ${PACKAGES}`,
  );
}

/** Makes the dynamic linker keep an open library after it is closed. */
function keep(name: string): void {
  const libc = openLibc({ dlopen: { parameters: ["buffer", "i32"], result: "pointer" } });
  const flags = RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE;
  const kept = libc.dlopen(new TextEncoder().encode(`${name}\0`), flags);
  if (kept === null) throw new Error(`Cannot keep ${name} loaded`);
}

/** The version, such as "2.9"; null before 2.4. */
export function liburingVersion(liburing: Liburing): string | null {
  const { io_uring_major_version: major, io_uring_minor_version: minor } = liburing;
  return major && minor ? `${major()}.${minor()}` : null;
}
