// The actors of one Worker: begins, ends and tells when it is told to.

import { Actors } from "./actors.ts";

/** What a Worker is told. */
export type Order =
  | { order: "make"; directory: string; count: number; seed: number }
  | { order: "begin" }
  | { order: "end" }
  | { order: "tell" };

/** What the global object of a Worker has: types of both kinds of global object cannot stand together. */
const scope = self as unknown as {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(message: unknown): void;
};

let actors: Actors | undefined;

scope.onmessage = async ({ data }: MessageEvent<Order>) => {
  let wrong: string | undefined;
  try {
    if (data.order === "make") actors = new Actors(data.directory, data.count, data.seed);
    else if (data.order === "begin") actors!.begin();
    else if (data.order === "end") await actors!.end();
  } catch (error) {
    wrong = String((error as Error).stack ?? error);
  }
  scope.postMessage({ order: data.order, done: actors!.done, wrong });
};
