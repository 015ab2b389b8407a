// Writes the tail of a slow source at regular times: what came is in the file though no buffer is full.
import type { DmaStreamWriter } from "../mod.ts";

/**
 * Has everything that was accepted written every so many milliseconds, until disposed; 0: never.
 *
 * @param durable also makes it durable, and cuts off the padding of the last block
 */
export function flushRegularly(
  writer: DmaStreamWriter,
  every: number,
  durable: boolean,
): Disposable | undefined {
  if (every === 0) return undefined;
  let flushed = writer.currentPos;
  let running = false;
  const flush = async () => {
    if (running || writer.currentPos === flushed) return;
    running = true;
    try {
      flushed = durable
        ? await writer.sync({ tail: true })
        : await writer.flushAligned({ tail: true });
    } catch {
      // The stream fails with it, and whoever pipes into it is told.
    } finally {
      running = false;
    }
  };
  const timer = setInterval(flush, every);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
