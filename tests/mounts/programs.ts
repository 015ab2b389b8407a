// Programs that run until a test is over.

import { pause, searchPath } from "../setup/command.ts";

/** Programs that were started, and end with this. */
export class Programs implements AsyncDisposable {
  readonly #children: Deno.ChildProcess[] = [];

  /** Starts a program that runs until the end. */
  readonly start = (program: string, ...args: string[]): void => {
    const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
    const env = { PATH: searchPath };
    this.#children.push(new Deno.Command(program, { args, env, ...options }).spawn());
  };

  /** Waits until a port answers. */
  readonly port = async (port: number, hostname = "127.0.0.1"): Promise<void> => {
    for (let tried = 0; tried < 150; tried++) {
      try {
        return (await Deno.connect({ hostname, port })).close();
      } catch {
        await pause(200);
      }
    }
    throw new Error(`Nobody answers at port ${port}`);
  };

  /** The identifiers of the processes, and of those that they started. */
  get processes(): string[] {
    const found = this.#children.map(({ pid }) => `${pid}`);
    for (const pid of found) {
      try {
        const started = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`);
        found.push(...started.split(" ").filter((each) => each !== ""));
      } catch {
        // It has ended.
      }
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.reverse()) {
      try {
        child.kill("SIGTERM");
      } catch {
        continue; // It has ended.
      }
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await child.status;
      clearTimeout(timer);
    }
  }
}
