// Notes what the kernel is asked to do, so that a test can assert the order.

import { interpose } from "./interpose.ts";
import type { TestDirectory } from "./dirs.ts";

/** Operations in the order in which they ended. Disposing it restores the engine. */
export interface NotedOrder extends Disposable {
  /** "sync file", "rename", "sync directory" of the test's directory, or "sync x" of another one by its name. */
  readonly order: string[];
  /** The same without what was done to directories. */
  readonly ofFile: string[];
}

export function noteOrder(dir: TestDirectory): NotedOrder {
  const order: string[] = [];
  const names = ["write", "truncate", "sync", "close", "allocate", "rename"] as const;
  const noted = names.map((name) =>
    interpose(name, ({ operation, completion, pass }) => {
      const what = "fd" in operation ? `${name} ${nameOf(dir, operation.fd)}` : name;
      pass({}, {
        complete: (result) => {
          order.push(what);
          completion.complete(result);
        },
      });
    })
  );
  return {
    order,
    get ofFile() {
      return order.filter((what) => what.endsWith("file"));
    },
    [Symbol.dispose]() {
      for (const one of noted.reverse()) one[Symbol.dispose]();
    },
  };
}

function nameOf(dir: TestDirectory, fd: number): string {
  const path = `/proc/self/fd/${fd}`;
  if (!Deno.statSync(path).isDirectory) return "file";
  const target = Deno.readLinkSync(path);
  if (target === Deno.realPathSync(dir.path)) return "directory";
  return target.slice(target.lastIndexOf("/") + 1);
}
