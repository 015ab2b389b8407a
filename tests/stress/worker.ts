// A Worker that runs rounds from { directory, number } on until it is terminated. Sends "busy" at each, or a failure.

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
