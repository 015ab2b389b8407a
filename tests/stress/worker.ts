// A Worker that runs rounds until it is terminated. It gets { directory, number }, the number of the first round, and
// sends "busy" when a round begins, or a failure.

import { runRound } from "./rounds.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<{ directory: string; number: number }>) => void;
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
