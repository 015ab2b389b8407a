// The uploading process: the output of tar is the body of an HTTP request, and is also kept in a file for the comparison.

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

// HTTP/2, because the length of tar's output is unknown. For an HTTP/1 request without a Content-Length Deno.serve (2.9) has
// no back pressure: it buffers unread bytes in memory, at a cost that grows with the square of their number.
using client = Deno.createHttpClient({ http1: false, http2: true });
const response = await fetch(url, {
  method: "PUT",
  body: tar.stdout.pipeThrough(keepAside),
  client,
});
const answer = await response.text();
const { code } = await tar.status;
// Exit code 1 means that a file changed while it was read. The stream is still a valid tar.
if (!response.ok || code > 1) {
  console.error(`Upload failed: HTTP ${response.status} ${answer}; tar ended with ${code}`);
  Deno.exit(1);
}
