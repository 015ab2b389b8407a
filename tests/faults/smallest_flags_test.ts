// The smallest set of flags, as the README names it: the demo's job, an upload over HTTP that goes to the disk, runs
// with exactly these, and with none of them less.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { request } from "node:http";
import { content, firstWrongInFile } from "./content.ts";
import { inWorkDirectory } from "./machine.ts";
import { spawn } from "./programs.ts";
import { lines } from "./tools.ts";

const LENGTH = 20_000_003;
const program = new URL("programs/store_upload.ts", import.meta.url).pathname;

/** The flags of the one command line in the README that names some. */
function namedFlags(): string[] {
  const readme = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
  const lines = [...readme.matchAll(/^deno run (--allow-.*) main\.ts$/gm)];
  assertEquals(lines.length, 1, "The README must name one set of flags");
  return lines[0]![1]!.split(" ");
}

/** Listening is the server's own wish, and no file's. */
const LISTEN = "--allow-net=127.0.0.1";

function upload(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { "content-length": LENGTH };
  const options = { host: "127.0.0.1", port, method: "PUT", headers };
  const sending = request(options, (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (part) => text += part).on("end", () => resolve(text));
  });
  sending.on("error", reject);
  for (let at = 0; at < LENGTH; at += 70_001) {
    sending.write(content(at, Math.min(70_001, LENGTH - at)));
  }
  sending.end();
  return promise;
}

/** Runs the receiver in `folder` with these flags, uploads to it, and resolves to its answer. */
async function store(folder: string, flags: string[]): Promise<string> {
  const child = spawn("", {
    script: program,
    flags: ["--no-prompt", LISTEN, ...flags],
    args: ["data/upload"],
    wrapper: ["env", `--chdir=${folder}`],
  });
  const errors = new Response(child.stderr).text();
  const output = lines(child.stdout);
  const { value = "" } = await output.next();
  const answer = await upload(Number(/^port (\d+)$/.exec(value)?.[1]));
  await child.stdin.close();
  await output.return?.();
  assertEquals([(await child.status).code, await errors], [0, ""]);
  return answer;
}

async function inDataFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  await inWorkDirectory(async (folder) => {
    await Deno.mkdir(`${folder}/data`);
    await fn(folder);
  });
}

Deno.test("an upload over HTTP goes to the disk with exactly the flags that the README names", () =>
  inDataFolder(async (folder) => {
    const answer = await store(folder, namedFlags());
    // The environment may not be read, so the engine is the best there is.
    assertMatch(answer, new RegExp(`^stored ${LENGTH} bytes on (io_uring|threads)$`));
    assertEquals((await Deno.stat(`${folder}/data/upload`)).size, LENGTH);
    assertEquals(await firstWrongInFile(`${folder}/data/upload`, LENGTH), -1);
  }));

for (const [index, flag] of namedFlags().entries()) {
  Deno.test(`an upload over HTTP does not go to the disk without ${flag}`, () =>
    inDataFolder(async (folder) => {
      const answer = await store(folder, namedFlags().toSpliced(index, 1));
      const [access] = /(?<=--allow-)[a-z]+/.exec(flag)!;
      assertStringIncludes(answer, `NotCapable: Requires ${access} access`);
      assertEquals([...Deno.readDirSync(`${folder}/data`)], []);
    }));
}
