// Writes the tail of a slow source at intervals, so that its bytes are in the file before a buffer is full.
import type { DmaStreamWriter } from "../mod.ts";

/**
 * Writes everything that the writer has accepted, at intervals, until it is disposed.
 *
 * @param every the interval in milliseconds; 0: never
 * @param durable syncs too, which cuts off the padding of the last block
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
      // The pipe into the writer reports the same error.
    } finally {
      running = false;
    }
  };
  const timer = setInterval(flush, every);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
