// The rules of a file's length, one event at a time.

import { assert, assertEquals } from "@std/assert";
import { FileLength } from "../../src/file/file_length.ts";

Deno.test("A length knows what is content, and what may be cut off", () => {
  let size: number;
  /** A file of 100 bytes of content, for which 200 more are reserved, after these events. */
  const after = (...events: ((length: FileLength) => unknown)[]) => {
    size = 100;
    const length = new FileLength(size, () => size);
    length.noteBegin(300);
    length.noteResult(100, size = 300, true);
    for (const event of events) {
      event(length);
      assert(length.contentEnd <= length.sizeUpperBound);
    }
    return length;
  };
  const begin = (end: number, dataEnd?: number) => (to: FileLength) => to.noteBegin(end, dataEnd);
  const fail = (start: number, end: number) => (to: FileLength) => to.noteResult(start, end, false);
  const resize = (to: number) => () => size = to;
  const answered = (to: FileLength) => to.addContent(200, false);
  const lost = (to: FileLength) => to.noteLoss();
  const zeros = (to: FileLength) => to.addReserved(300);
  const cut = (end: number) => (to: FileLength) => to.noteCut(end);

  // The reserve is cut off, but no content, nor a write whose end is not noted yet.
  assertEquals(after().lengthToCutTo(300), 100);
  assertEquals(after().lengthToCutTo(), 100);
  assertEquals(after((to) => to.addContent(250)).lengthToCutTo(300), 250);
  assertEquals(after(begin(280)).lengthToCutTo(300), 280);
  // What another program has appended stays. What it has cut is not extended.
  assertEquals(after((to) => to.lengthToCutTo(301)).sizeUpperBound, 100);
  assertEquals(after().lengthToCutTo(301), undefined);
  assertEquals(after().lengthToCutTo(80), undefined);
  // It becomes content before a write whose end or padding could hide it.
  assertEquals(after(resize(310), begin(320)).contentEnd, 310);
  assertEquals(after(resize(310), begin(250, 240)).contentEnd, 310);
  assertEquals(after(resize(310), begin(250)).contentEnd, 100);
  // A failed write may have extended the file, unless the file ends before it.
  assertEquals(after(begin(500), resize(450), fail(400, 500)).lengthToCutTo(450), 100);
  assertEquals(after(begin(500), resize(350), fail(400, 500)).lengthToCutTo(350), undefined);
  assertEquals(after(begin(500), resize(50), fail(400, 500)).sizeUpperBound, 100);
  assertEquals(after(begin(500), cut(50)).sizeUpperBound, 500);
  // What a server has only answered is content until it loses it.
  assertEquals(after(answered).lengthToCutTo(300), 200);
  assertEquals(after(answered, lost).lengthToCutTo(300), 100);
  assertEquals(after(answered, (to) => to.confirm(), lost).lengthToCutTo(300), 200);
  assertEquals(after(cut(50), lost).contentEnd, 50);
  // The zeros of preallocate stay when padding is cut off, unless another program has cut them off.
  assertEquals(after().lengthToRestore(120), 120);
  assertEquals(after(zeros).lengthToRestore(120), 300);
  assertEquals(after(zeros, cut(200)).lengthToRestore(120), 200);
  // A writer that opens takes what is known, and what another program has appended, for content.
  assertEquals(after((to) => to.noteSize(300, 180)).contentEnd, 180);
  assertEquals(after((to) => to.noteSize(300, 400)).contentEnd, 300);
  assertEquals(after((to) => to.noteSize(310, 180)).contentEnd, 310);
  assertEquals(after((to) => to.noteSize(90, 180)).contentEnd, 90);
});
