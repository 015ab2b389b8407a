// Holds the read-ahead core to its promises: failures at every place, and being cancelled or closed at any time.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Rig } from "./read_ahead/rig.ts";
import { turn } from "../support/scripted_hold.ts";
import { randomPlan } from "../support/scripted_operation.ts";

const EIO = 5;

Deno.test("ReadAhead makes an error of a read that brings nothing for ever", async () => {
  const rig = new Rig({ readAhead: 1 });
  rig.peek();
  rig.engine.completeAll();
  rig.take();
  const nothing = randomPlan(0);
  nothing.choose = ([operation]) => [operation!, operation!.kind === "read" ? { most: 0 } : {}];
  await rig.engine.drive(rig.core.ready(), nothing);
  assertThrows(() => rig.peek(), Error, "Input/output error (os error 5): read 'scripted'");
  assertEquals(rig.engine.log.filter((line) => line === "- read 1024+1024: 0").length, 8);
  await rig.cancel();
});

Deno.test("ReadAhead gives what is before a failure, then the failure, and again", async () => {
  for (let position = 0; position < 5000; position += 1024) {
    for (const reached of [0, 512]) {
      const rig = new Rig();
      const plan = randomPlan(position);
      const inner = plan.choose.bind(plan);
      plan.choose = (pending) => {
        const bad = pending.find((each) => each.kind === "read" && each.position === position);
        return bad ? [bad, { errno: EIO, reached }] : inner(pending);
      };
      await rig.rest(plan).then(
        () => assert(false, "The failure went by"),
        (error) => assertEquals(error.code, "EIO"),
      );
      assertEquals(rig.position, position);
      assertThrows(() => rig.peek(), Error, "Input/output error (os error 5): read 'scripted'");
      await rig.cancel(plan);
    }
  }
});

Deno.test("ReadAhead starts no read behind a failure", async () => {
  const rig = new Rig({ readAhead: 3 });
  rig.peek();
  const [first, second, third] = rig.engine.pendingOf("read");
  rig.engine.complete(first!);
  rig.engine.complete(second!);
  rig.engine.fail(third!, EIO);
  rig.take();
  rig.take();
  assertThrows(() => rig.peek(), Error, "os error 5");
  assertEquals(rig.engine.describePending(), "nothing");
  await rig.cancel();
});

Deno.test("ReadAhead gives the part of a buffer that was read before the failure", async () => {
  const rig = new Rig({ bufferSize: 2048 });
  rig.peek();
  const read = () => rig.engine.pendingOf("read")[0]!;
  rig.engine.shorten(read(), 700);
  rig.engine.complete(rig.engine.only("stat"));
  await turn();
  const rest = rig.engine.pendingOf("read").find(({ position }) => position === 512);
  rig.engine.fail(rest!, EIO);
  assertEquals(rig.take(), 512);
  assertThrows(() => rig.peek(), Error, "os error 5");
  await rig.cancel();
});

Deno.test("ReadAhead fails if the length of the file cannot be read", async () => {
  const rig = new Rig({ size: 100 });
  rig.peek();
  rig.engine.complete(rig.engine.pendingOf("read")[0]!);
  rig.engine.fail(rig.engine.only("stat"), EIO);
  await turn();
  assertEquals(rig.take(), 100);
  assertThrows(() => rig.peek(), Error, "Input/output error (os error 5): stat 'scripted'");
  await rig.cancel();
});

Deno.test("ReadAhead tries again what was interrupted", async () => {
  for (const errno of [4, 11]) {
    const rig = new Rig();
    rig.peek();
    for (const read of rig.engine.pendingOf("read")) rig.engine.fail(read, errno);
    await rig.finish(5000);
  }
});

Deno.test("ReadAhead can be cancelled at every moment, and waits for the kernel", async () => {
  for (
    const options of [{ readAhead: 0 }, { readAhead: 3 }, { readAhead: 3, bufferSize: 12_288 }]
  ) {
    for (let moment = 0; moment < 40; moment++) {
      const rig = new Rig(options);
      const plan = randomPlan(moment, { short: 0.3 });
      rig.peek();
      for (let step = 0; step < moment; step++) {
        const seen = rig.peek(700);
        if (seen === null) break;
        if (seen) rig.take(700);
        else rig.engine.step(plan);
        await turn();
      }
      const inFlight = rig.engine.pending.length;
      let over = false;
      const cancelled = rig.core.cancel().then(() => over = true);
      const again = rig.core.cancel();
      await turn();
      assertEquals(over, inFlight === 0, `cancelled with ${inFlight} in flight`);
      await rig.engine.drive(cancelled, plan);
      await rig.engine.settled(again);
      await rig.cancel();
    }
  }
});

Deno.test("ReadAhead answers waiting calls when it is cancelled", async () => {
  const rig = new Rig();
  rig.peek();
  const ready = rig.core.ready();
  const cancelled = rig.core.cancel();
  await rig.engine.settled(ready);
  assertEquals(rig.core.peek(1), null);
  await rig.engine.drive(cancelled);
  rig.assertFree();
});

Deno.test("ReadAhead keeps the file open during its reads", async () => {
  const rig = new Rig({ size: 100 });
  rig.peek();
  const closed = rig.file.descriptor.close();
  await turn();
  assertEquals(rig.engine.pendingOf("close").length, 0);
  rig.engine.completeAll();
  await turn();
  // The read was short, so that the length is asked for: with the same descriptor.
  assertEquals(rig.engine.pendingOf("close").length, 0);
  await rig.engine.drive(closed);
  assertEquals(rig.take(), 100);
  assertEquals(rig.peek(), null);
  rig.engine.assertSound();
});

Deno.test("ReadAhead gives what it has of a file that was closed, then the error", async () => {
  const rig = new Rig();
  rig.peek();
  rig.engine.completeAll();
  await rig.engine.drive(rig.file.descriptor.close());
  rig.take();
  rig.take();
  const error = await rig.rest().then(() => undefined, (error) => error);
  assertEquals([error?.code, error?.message.includes("the file is closed")], ["EBADF", true]);
  await rig.engine.drive(rig.core.cancel());
  rig.assertFree();
});
