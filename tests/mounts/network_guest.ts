// The program of the machine of tests/mounts/network.ts: it tests the promises on network file systems, and prints a
// table. It needs root, and changes the machine.
//
//   deno run -A tests/mounts/network_guest.ts [NAME...] [--rates]

import { networkServers } from "./network_servers.ts";
import { tryNamed } from "./try_servers.ts";

if (import.meta.main) await tryNamed(networkServers, () => Promise.resolve(""));
