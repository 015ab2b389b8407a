// A hidden directory for files that measure or test another directory.

/** Attempts to remove the files when the process must end at once. */
const REMOVALS = 10;

/** A new hidden name in `parent`. */
export function scratchPath(parent: string, command: string): string {
  return `${parent.replace(/\/+$/, "")}/.dma-${command}-${crypto.randomUUID()}`;
}

/** A new directory. It is removed with its files when it is disposed, and when the process ends, except by SIGKILL. */
export class ScratchDirectory implements AsyncDisposable {
  readonly path: string;
  readonly #removeNow = () => removeNow(this.path);

  private constructor(path: string) {
    this.path = path;
    globalThis.addEventListener("unload", this.#removeNow);
  }

  /** Makes one in `parent`. The name tells users which command has made it. */
  static async in(parent: string, command: string): Promise<ScratchDirectory> {
    const path = scratchPath(parent, command);
    // In a directory that others may write to, a link in place of a file would lead elsewhere.
    await Deno.mkdir(path, { mode: 0o700 });
    return new ScratchDirectory(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Deno.remove(this.path, { recursive: true });
      globalThis.removeEventListener("unload", this.#removeNow);
    } catch {
      // The end of the process tries again.
    }
  }
}

/** Removes a directory synchronously. Operations on other threads may still create or remove files in it. */
function removeNow(directory: string): void {
  for (let attempt = 0; attempt < REMOVALS; attempt++) {
    try {
      Deno.removeSync(directory, { recursive: true });
      return;
    } catch {
      // Another thread created or removed a file meanwhile: try again.
    }
  }
}
