// Makes the first file system in memory that an emulated machine starts from, with the kernel's drivers in it.

export function findModules(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      if (isDirectory) visit(`${folder}/${name}`);
      else if (/\.ko(\.xz)?$/.test(name)) found.set(name.split(".ko")[0]!, `${folder}/${name}`);
    }
  };
  visit(folder);
  return found;
}

export function readModule(path: string): Uint8Array<ArrayBuffer> {
  if (!path.endsWith(".xz")) return Deno.readFileSync(path);
  const { success, stdout } = new Deno.Command("xz", { args: ["-dc", path] }).outputSync();
  if (!success) throw new Error(`Cannot unpack ${path}`);
  return stdout;
}

/** The drivers, and before each what it depends on. One that is not there is built in. */
export function inOrder(modules: Map<string, string>, drivers: readonly string[]): string[] {
  const order = new Set<string>();
  const add = (name: string) => {
    if (order.has(name)) return;
    const path = modules.get(name);
    if (path === undefined) return;
    const text = new TextDecoder("latin1").decode(readModule(path));
    for (const needed of /\0depends=([^\0]*)/.exec(text)?.[1]?.split(",") ?? []) add(needed);
    order.add(name);
  };
  drivers.forEach(add);
  return [...order];
}

/** An archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst). */
export class Archive {
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  #count = 0;

  folder(name: string): void {
    this.#entry(name, 0o040755, new Uint8Array());
  }

  file(name: string, content: Uint8Array<ArrayBuffer>): void {
    this.#entry(name, 0o100755, content);
  }

  bytes(): Uint8Array<ArrayBuffer> {
    this.#entry("TRAILER!!!", 0, new Uint8Array());
    const lengths = this.#chunks.map((chunk) => chunk.length);
    const all = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  #entry(name: string, mode: number, content: Uint8Array<ArrayBuffer>): void {
    const path = new TextEncoder().encode(`${name}\0`);
    // Inode, mode, owner, group, links, time, length, four device numbers, length of the name, no checksum.
    const fields = [++this.#count, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, path.length, 0];
    const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    this.#padded(new TextEncoder().encode(head), path);
    this.#padded(content);
  }

  /** Both the name and the content end on a multiple of four bytes. */
  #padded(...chunks: Uint8Array<ArrayBuffer>[]): void {
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#chunks.push(...chunks, new Uint8Array(-length & 3));
  }
}
