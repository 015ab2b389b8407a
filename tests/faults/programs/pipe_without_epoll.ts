// As pipe.ts, where Deno has no handles of Node's that epoll would watch. FILE
import process from "node:process";

(process as unknown as { binding: unknown }).binding = () => {
  throw new Error("No internal bindings here");
};
await import("./pipe.ts");
