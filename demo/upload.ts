// The uploading side, a process of its own: what tar prints is the body of an HTTP request, and is kept aside to compare with.

const [url, keptPath, ...folders] = Deno.args;
if (url === undefined || keptPath === undefined || folders.length === 0) {
  console.error("Usage: upload.ts URL KEPT_FILE FOLDER...");
  Deno.exit(2);
}

const tar = new Deno.Command("tar", {
  args: [
    "--create",
    "--file=-",
    "--directory=/",
    "--ignore-failed-read",
    "--warning=none",
    ...folders.map((folder) => folder.replace(/^\/+/, "")),
  ],
  stdin: "null",
  stdout: "piped",
  stderr: "inherit",
}).spawn();

using kept = await Deno.open(keptPath, { write: true, create: true, truncate: true });
const keepAside = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
  async transform(chunk, controller) {
    for (let done = 0; done < chunk.length;) done += await kept.write(chunk.subarray(done));
    controller.enqueue(chunk);
  },
});

// HTTP/2, because tar does not say how long its output will be: for an HTTP/1 request without a Content-Length, Deno.serve
// (2.9) has no backpressure. It buffers in memory what the handler has not read, at a cost that grows with its square.
using client = Deno.createHttpClient({ http1: false, http2: true });
const response = await fetch(url, {
  method: "PUT",
  body: tar.stdout.pipeThrough(keepAside),
  client,
});
const answer = await response.text();
const { code } = await tar.status;
// 1 says that a file changed while it was read; the stream is what counts here.
if (!response.ok || code > 1) {
  console.error(`Upload failed: HTTP ${response.status} ${answer}; tar ended with ${code}`);
  Deno.exit(1);
}
