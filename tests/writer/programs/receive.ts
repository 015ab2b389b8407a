// Receives one stream, over HTTP or on standard input, into a file or into nothing, and prints how much memory that took.
//
//   receive.ts http|stdin PATH|-

import { DmaFile, DmaStreamWriter } from "../../../mod.ts";

const [from, path] = Deno.args;

async function store(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
  if (path === "-") await stream.pipeTo(new WritableStream());
  else await stream.pipeTo(new DmaStreamWriter(await DmaFile.create(path!)));
}

/** The most memory that was ever resident, in KiB. */
function mostResident(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
}

if (from === "stdin") {
  await store(Deno.stdin.readable);
} else {
  const received = Promise.withResolvers<void>();
  const server = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    onListen: ({ port }) => console.log(port),
  }, async (request) => {
    await store(request.body!).then(received.resolve, received.reject);
    return new Response("stored");
  });
  await received.promise;
  await server.shutdown();
}
console.log(mostResident());
