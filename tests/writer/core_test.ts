// Holds a writer to its promises, without a stream, on an engine that holds, reorders, shortens and fails operations.

import { Writer } from "../../src/writer/writer.ts";
import { ending } from "./core/ending.ts";
import { endOfFile } from "./core/end_of_file.ts";
import { failures } from "./core/failures.ts";
import { filling } from "./core/filling.ts";
import { ordering } from "./core/ordering.ts";
import { property } from "./core/property.ts";
import type { Checks } from "./core/rig.ts";
import { sharing } from "./core/sharing.ts";
import { shortWrites } from "./core/short_writes.ts";
import { syncs } from "./core/syncs.ts";
import { tails } from "./core/tails.ts";

const subjects: Record<string, Checks> = {
  ordering,
  "short writes": shortWrites,
  failures,
  syncs,
  tails,
  ending,
  filling,
  sharing,
  "end of file": endOfFile,
  property,
};

for (const [subject, checks] of Object.entries(subjects)) {
  for (const [name, check] of Object.entries(checks)) {
    Deno.test(`Writer, ${subject}: ${name}`, async () => await check(Writer));
  }
}
