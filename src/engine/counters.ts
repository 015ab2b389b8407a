// The counters of an engine, documented in `IoStats`.

import type { Operation } from "./operation.ts";

export class Counters {
  reads = 0;
  writes = 0;
  syncs = 0;
  otherOperations = 0;
  bytesRead = 0;
  bytesWritten = 0;
  failed = 0;
  submissions = 0;
  wakeups = 0;
  queueFull = 0;
  inFlight = 0;

  count({ op }: Operation, result: number): void {
    if (result < 0) this.failed++;
    const bytes = Math.max(0, result);
    if (op === "read") {
      this.reads++;
      this.bytesRead += bytes;
    } else if (op === "write") {
      this.writes++;
      this.bytesWritten += bytes;
    } else if (op === "sync") this.syncs++;
    else this.otherOperations++;
  }
}
