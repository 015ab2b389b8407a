// What a registry would have of this project, served over HTTP: so that examples run where there is no checkout.

/** A server of the files that would be published. */
export interface Published extends AsyncDisposable {
  /** Its name and port. */
  readonly host: string;
}

/** Serves what the publish list of deno.json in `root` names, and nothing else. */
export function servePublished(root: URL): Published {
  const { publish } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const within = (path: string, list: readonly string[]) =>
    list.some((entry) => path === entry || path.startsWith(`${entry}/`));
  const server = Deno.serve({ hostname: "localhost", port: 0, onListen() {} }, async (request) => {
    const path = new URL(request.url).pathname.slice(1);
    if (!within(path, publish.include) || within(path, publish.exclude)) {
      return new Response(`${path} is not published`, { status: 404 });
    }
    try {
      return new Response(await Deno.readTextFile(new URL(path, root)), {
        headers: { "content-type": "application/typescript" },
      });
    } catch {
      return new Response(`There is no ${path}`, { status: 404 });
    }
  });
  return {
    host: `localhost:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
