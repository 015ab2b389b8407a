// As pipe.ts, where epoll cannot watch a descriptor through Node's handles. FILE HOW
import process from "node:process";

interface Handle {
  open(fd: number): number;
  readStart(): number;
}

type Binding = (name: string) => { Pipe: new (type: number) => Handle };

const internals = process as unknown as { binding: Binding };
const { Pipe } = internals.binding("pipe_wrap");

const ways: Record<string, Binding> = {
  "node:process refuses": () => {
    throw new Error("No internal bindings here");
  },
  "handles take no eventfd": () => ({
    Pipe: class extends Pipe {
      override open(): number {
        return -1;
      }
    },
  }),
  "no signal comes": () => ({
    Pipe: class extends Pipe {
      override readStart(): number {
        return 0;
      }
    },
  }),
};

internals.binding = ways[Deno.args[1]!]!;
await import("./pipe.ts");
