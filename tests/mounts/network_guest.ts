// The program that the machine of tests/mounts/network.ts runs: tries the promises on network file systems, and prints a
// table of each. As root; it changes the machine.
//
//   deno run -A tests/mounts/network_guest.ts [NAME...] [--rates]

import { say } from "../setup/command.ts";
import { makeWorkDirectory, takeDown } from "../setup/file_systems.ts";
import { importMapArguments } from "../setup/import_map.ts";
import { networkServers } from "./network_servers.ts";
import { printTable, tryServer } from "./try_servers.ts";

const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

if (import.meta.main) {
  const flags = Deno.args.filter((arg) => arg.startsWith("--"));
  const words = Deno.args.filter((arg) => !arg.startsWith("--")).map((arg) => arg.toLowerCase());
  const chosen = networkServers.filter(({ name }) =>
    words.length === 0 || words.some((word) => name.toLowerCase().includes(word))
  );
  const directory = await makeWorkDirectory();
  let good = true;
  try {
    const manner = { flags, imports: await importMapArguments(root, directory) };
    for (const [index, server] of chosen.entries()) {
      say(server.name);
      good = printTable(await tryServer(server, `${directory}/${index}`, "", manner)) && good;
    }
  } finally {
    await takeDown(directory);
  }
  Deno.exit(good ? 0 : 1);
}
