// Waits for what the garbage collector frees.

import { eventually } from "./descriptors.ts";
import { collectGarbage } from "./leaks.ts";

/** Collects garbage until `condition` holds. */
export async function untilCollected(condition: () => boolean | Promise<boolean>): Promise<void> {
  await eventually(async () => {
    await collectGarbage();
    return await condition();
  }, String(condition));
}
