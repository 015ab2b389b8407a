// Stores one upload as the demo does: the body of a request, piped into a file. FILE
import { DmaFile, DmaStreamWriter, engineInfo } from "../../../mod.ts";

const [path = ""] = Deno.args;
const onListen = ({ port }: Deno.NetAddr) => console.log(`port ${port}`);
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, async (request) => {
  try {
    const writer = new DmaStreamWriter(await DmaFile.create(path));
    await request.body!.pipeTo(writer);
    return new Response(`stored ${writer.currentFlushedPos} bytes on ${engineInfo().engine}`);
  } catch (error) {
    await request.body!.pipeTo(new WritableStream()).catch(() => {});
    return new Response(String(error));
  }
});
await Deno.stdin.read(new Uint8Array(1));
await server.shutdown();
