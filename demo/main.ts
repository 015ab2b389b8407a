// Shows an upload of real data: another process sends a tar of real folders over HTTP, and this one writes it to the disk.
import { DmaFile, DmaStreamWriter, engineInfo } from "@denodma/dma";
import { Command } from "commander";
import { formatRate, formatSize } from "../cli/units.ts";
import { showProgress } from "../cli/progress.ts";
import { cachedBytes } from "../tests/setup/command.ts";
import { installLiburing } from "../tests/setup/packages.ts";
import { findFolders, type Input, measureFolders } from "./folders.ts";

interface Upload {
  bytes: number;
  seconds: number;
  direct: boolean;
  buffers: string;
  peakMemory: number;
}

interface DemoOptions {
  dir?: string;
  folder?: string[];
  keep?: boolean;
}

/** The receiving side: the body of a request, piped into a file. */
async function receive(request: Request, path: string, expected: number): Promise<Upload> {
  const began = performance.now();
  const file = await DmaFile.create(path);
  const writer = new DmaStreamWriter(file);
  const watch = watchProgress(expected, () => writer.currentFlushedPos);
  try {
    await (request.body ?? new Blob().stream()).pipeTo(writer);
  } finally {
    watch[Symbol.dispose]();
  }
  return {
    bytes: writer.currentFlushedPos,
    seconds: (performance.now() - began) / 1000,
    direct: file.direct,
    buffers: `${writer.writeBehind} buffers of ${formatSize(writer.bufferSize)} in flight`,
    peakMemory: watch.peakMemory(),
  };
}

/** Shows the progress: a bar on a terminal, else a line a second. */
function watchProgress(expected: number, position: () => number) {
  let peak = Deno.memoryUsage().rss;
  const sampler = setInterval(() => peak = Math.max(peak, Deno.memoryUsage().rss), 100);
  const show = Deno.stderr.isTerminal()
    ? showProgress(expected, position)
    : lineEverySecond(expected, position);
  return {
    peakMemory: () => peak,
    [Symbol.dispose]() {
      clearInterval(sampler);
      show[Symbol.dispose]();
    },
  };
}

function lineEverySecond(expected: number, position: () => number): Disposable {
  const began = performance.now();
  const timer = setInterval(() => {
    const seconds = (performance.now() - began) / 1000;
    const rate = formatRate(position(), seconds);
    console.log(`  ${formatSize(position())} of about ${formatSize(expected)}, ${rate}`);
  }, 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Receives one upload from another process. */
async function upload(input: Input, path: string, keptPath: string): Promise<Upload> {
  const received = Promise.withResolvers<Upload>();
  // It is awaited only after the other process has ended: until then a rejection would count as unhandled.
  received.promise.catch(() => {});
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    try {
      received.resolve(await receive(request, path, input.bytes));
      return new Response("stored");
    } catch (error) {
      received.reject(error);
      return new Response(String(error), { status: 500 });
    }
  });
  try {
    const program = new URL("upload.ts", import.meta.url).href;
    const url = `http://127.0.0.1:${server.addr.port}/`;
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", program, url, keptPath, ...input.folders],
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).output();
    if (!success) received.reject(new Error("The uploading process failed"));
    return await received.promise;
  } finally {
    await server.shutdown();
  }
}

async function identical(path: string, other: string): Promise<boolean> {
  // The comparison uses a program that does not depend on this module.
  const { code } = await new Deno.Command("cmp", { args: [path, other], stdin: "null" }).spawn()
    .status;
  if (code > 1) throw new Error(`Cannot compare '${path}' with '${other}': cmp ended with ${code}`);
  return code === 0;
}

async function demo(options: DemoOptions): Promise<boolean> {
  if (!await installLiburing(AbortSignal.timeout(300_000))) {
    console.log("liburing could not be installed: the demo runs without io_uring, on threads.");
  }
  const input = options.folder ? await measureFolders(options.folder) : await findFolders();
  console.log(`Input: a tar of ${input.folders.join(", ")}, about ${formatSize(input.bytes)}`);

  const parent = await Deno.realPath(options.dir ?? "/var/tmp");
  const dir = await Deno.makeTempDir({ dir: parent, prefix: "dma-demo-" });
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => {
      if (!options.keep) Deno.removeSync(dir, { recursive: true });
      Deno.exit(code);
    });
  }
  try {
    const path = `${dir}/received.tar`;
    const keptPath = `${dir}/sent.tar`;
    console.log(`Uploading the tar over HTTP from another process into ${path}`);
    const done = await upload(input, path, keptPath);
    const cached = await cachedBytes(path);
    const same = await identical(path, keptPath);

    const { engine, reason } = engineInfo();
    console.log(`Engine: ${engine} (${reason})`);
    console.log(`Received: ${done.bytes} bytes (${formatSize(done.bytes)})`);
    const rate = formatRate(done.bytes, done.seconds);
    console.log(
      `Time: ${done.seconds.toFixed(2)} s, ${rate}, tar and HTTP included, durable on disk`,
    );
    console.log(`Direct I/O: ${done.direct ? "yes" : "no"}, ${done.buffers}`);
    const left = cached === undefined ? "unknown (there is no fincore)" : formatSize(cached);
    console.log(`Page cache left behind: ${left}`);
    console.log(`Memory of the receiving process: at most ${formatSize(done.peakMemory)}`);
    console.log(`Identical: ${same ? "yes" : "NO"}`);
    if (options.keep) console.log(`Kept: ${dir}`);
    return same;
  } finally {
    if (!options.keep) await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const command = new Command("demo")
    .description("Upload a tar of real folders over HTTP into a DmaFile, and compare.")
    .option("--dir <dir>", "directory of the temporary files, on a disk (default: /var/tmp)")
    .option(
      "--folder <folder>",
      "a folder to upload, repeatable (default: folders of the system)",
      (folder: string, folders: string[] = []) => [...folders, folder],
    )
    .option("--keep", "keep the temporary files")
    .parse(Deno.args, { from: "user" });
  try {
    Deno.exit(await demo(command.opts<DemoOptions>()) ? 0 : 1);
  } catch (error) {
    console.error(`Demo failed: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
