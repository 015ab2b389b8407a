// A Worker of the Web or of Node that runs rounds until it is terminated. It gets { directory, number }, and sends
// "busy" when a round begins, or a failure.

import { parentPort } from "node:worker_threads";
import { runRound } from "./rounds.ts";

export interface Order {
  readonly directory: string;
  /** The number of its first round. */
  readonly number: number;
}

/** The messaging functions that both kinds of Worker have. */
const scope = (parentPort ?? self) as unknown as {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(message: string): void;
};

scope.onmessage = async ({ data: { directory, number } }) => {
  for (let next = number;; next++) {
    scope.postMessage("busy");
    try {
      await runRound(directory, next, { calls: 0, failed: 0, bytes: 0 });
    } catch (error) {
      return scope.postMessage(Deno.inspect(error));
    }
  }
};
