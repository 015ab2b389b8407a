// Reads what the kernel says in /proc, without blocking: some of it takes the kernel long to list.

import { type Engine, run } from "../engine/engine.ts";
import { AT_FDCWD, O_CLOEXEC, O_RDONLY } from "../engine/linux.ts";

const READ_BYTES = 4096;

/** The text of a file of the kernel; empty if it cannot be read. */
export async function readKernelText(engine: Engine, name: string): Promise<string> {
  const memory = engine.acquire(READ_BYTES);
  try {
    const flags = O_RDONLY | O_CLOEXEC;
    const fd = await run(engine, { op: "open", directory: AT_FDCWD, name, flags, mode: 0 });
    if (fd < 0) return "";
    const decoder = new TextDecoder();
    let text = "";
    for (let position = 0;;) {
      const range = { memory, offset: 0, length: READ_BYTES, position };
      const read = await run(engine, { op: "read", fd, ...range });
      if (read <= 0) break;
      // Copied: TextDecoder may keep its argument, and the block is released.
      text += decoder.decode(memory.bytes.slice(0, read), { stream: true });
      position += read;
    }
    engine.runNow({ op: "close", fd });
    return text;
  } finally {
    engine.release(memory);
  }
}
