// Holds the write-behind core to its promises, on an engine that holds, reorders, shortens and fails operations.

import { WriteBehind } from "../../src/core/write_behind.ts";
import { ending } from "./write_behind/ending.ts";
import { endOfFile } from "./write_behind/end_of_file.ts";
import { failures } from "./write_behind/failures.ts";
import { filling } from "./write_behind/filling.ts";
import { ordering } from "./write_behind/ordering.ts";
import { property } from "./write_behind/property.ts";
import type { Checks } from "./write_behind/rig.ts";
import { sharing } from "./write_behind/sharing.ts";
import { shortWrites } from "./write_behind/short_writes.ts";
import { syncs } from "./write_behind/syncs.ts";
import { tails } from "./write_behind/tails.ts";

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
    Deno.test(`WriteBehind, ${subject}: ${name}`, async () => await check(WriteBehind));
  }
}
