// Measures a log with durable lines: one line at a time, and 64 tasks with one line each. The peers are FsFile, SQLite
// (one row a transaction) and sonic-boom, which pino writes with.

import { DatabaseSync } from "node:sqlite";
import sonicBoomModule from "npm:sonic-boom@5.0.2";
import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays } from "./harness/ways.ts";

const LINES = 64;
const directory = benchDirectory();
const text = `${"x".repeat(199)}\n`;
const line = new TextEncoder().encode(text);

const theirs = await Deno.open(`${directory}/deno`, { write: true, create: true });
const own = new DmaStreamWriter(await DmaFile.create(`${directory}/own`));
const appending = new DmaStreamWriter(
  await DmaFile.open(`${directory}/append`, { create: true, append: true }),
);
const { SonicBoom } = sonicBoomModule;
const boom = new SonicBoom({ dest: `${directory}/boom`, sync: true, fsync: true });
const database = new DatabaseSync(`${directory}/sqlite`);
database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE log (line TEXT)");
const insert = database.prepare("INSERT INTO log VALUES (?)");

/** The contestants. Each makes one line durable. */
const WAYS = {
  "FsFile write, syncData": async () => {
    await theirs.write(line);
    await theirs.syncData();
  },
  "DmaStreamWriter write, sync({ tail: true })": async () => {
    await own.write(line);
    await own.sync({ tail: true });
  },
  "the same, true append": async () => {
    await appending.write(line);
    await appending.sync({ tail: true });
  },
  "node:sqlite, WAL, synchronous=FULL, a row a transaction": () => void insert.run(text),
  "sonic-boom (pino), sync, fsync": () => void boom.write(text),
};

benchWays("a durable line of 200 bytes", { n: 100, warmup: 10 }, WAYS);

// A contestant that syncs each line needs 64 times as long for 64 tasks.
benchWays(
  `${LINES} tasks, a durable line each`,
  { n: 5, warmup: 1 },
  Object.fromEntries(
    Object.entries(WAYS).map(([name, way]) => [
      `${LINES} times ${name}`,
      () => Promise.all(Array.from({ length: LINES }, way)),
    ]),
  ),
);
