// Workers that are terminated during rounds: no file stays open, and none has wrong bytes.

import { eventually, pause } from "../setup/command.ts";
import type { Random } from "../simulator/random.ts";
import { firstForeign } from "../support/bytes.ts";
import { descriptorTargets } from "../support/leaks.ts";
import { seedOf } from "./round.ts";

const script = new URL("worker.ts", import.meta.url);

/** Lets a Worker run rounds from `number` on in a new directory, and terminates it. Rejects with the failure. */
export async function terminateOne(parent: string, number: number, random: Random): Promise<void> {
  const directory = `${parent}/worker-${number}`;
  await Deno.mkdir(directory);
  const busy = Promise.withResolvers<void>();
  let rounds = random.below(4);
  let wrong: string | undefined;
  const fail = (message: string) => {
    wrong ??= message;
    busy.resolve();
  };
  const worker = new Worker(script, { type: "module" });
  worker.onmessage = ({ data }) => {
    if (data !== "busy") fail(data);
    else if (rounds-- === 0) busy.resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(event.message);
  };
  worker.postMessage({ directory, number });
  await busy.promise;
  await pause(random.below(50));
  worker.terminate();
  if (wrong !== undefined) throw new Error(`In a Worker: ${wrong}`);
  await eventually(() => descriptorTargets(directory).length === 0);
  for (const { name } of Deno.readDirSync(directory)) {
    // An atomic file has a hidden name while it is published, or all the time if the file system needs that.
    if (name.startsWith(".")) continue;
    const round = Number(name.split("-")[0]);
    // A removal by Deno itself may outlive its Worker.
    const bytes = await Deno.readFile(`${directory}/${name}`).catch(() => new Uint8Array());
    const foreign = firstForeign(bytes, 0, seedOf(round));
    if (foreign >= 0) throw new Error(`Byte ${foreign} of ${name} of a Worker was never written`);
  }
  // An operation in flight at the end of the Worker may still create a file.
  const remove = () => Deno.remove(directory, { recursive: true });
  await eventually(() => remove().then(() => true, () => false));
}
