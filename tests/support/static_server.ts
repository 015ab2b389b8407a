// Serves the files that would be published, like a plain file host, so that tests notice a missing file.

import { root } from "../setup/command.ts";

const { publish } = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`));

/** Whether deno.json publishes a file or a folder. The path is relative to the root. */
export function isPublished(path: string): boolean {
  const within = (list: string[]) => list.some((entry) => `${path}/`.startsWith(`${entry}/`));
  return within(publish.include) && !within(publish.exclude);
}

/** A host on loopback. It serves the package under every version: `/@1.0.0/mod.ts`. */
export class StaticServer implements AsyncDisposable {
  /** Its name and port, in the form of `--allow-import`. */
  readonly host: string;
  /** Requested paths that do not exist. */
  readonly missing: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
    this.#server = Deno.serve(options, async (request) => {
      const { pathname } = new URL(request.url);
      const path = decodeURIComponent(pathname).replace(/^\/(@[^/]+\/)?/, "");
      const body = isPublished(path) && await Deno.readFile(`${root}/${path}`).catch(() => {});
      if (!body) {
        this.missing.push(path);
        return new Response("Not found", { status: 404 });
      }
      const type = path.endsWith(".ts") ? "application/typescript" : "text/plain";
      return new Response(body, { headers: { "content-type": `${type}; charset=utf-8` } });
    });
    this.host = `localhost:${this.#server.addr.port}`;
  }

  /** The URL of a file, with a version if given. */
  url(path: string, version?: string): string {
    return `http://${this.host}/${version === undefined ? "" : `@${version}/`}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
