// Sizes, rates and times as people type and read them.

import { assertEquals } from "@std/assert";
import {
  formatCount,
  formatDuration,
  formatPace,
  formatRate,
  formatSize,
  parseSize,
} from "../../cli/units.ts";

const MIB = 1024 ** 2;

Deno.test("parseSize() takes bytes and powers of 1024, and nothing else", () => {
  const sizes = ["0", "4096", "512K", "512k", "1M", "1MiB", "2GB"].map(parseSize);
  assertEquals(sizes, [0, 4096, 524_288, 524_288, 1_048_576, 1_048_576, 2_147_483_648]);
  for (const wrong of ["", "K", "-1", "1.5M", "1X", "1e6", "9999999999999999999", "0x10"]) {
    assertEquals(parseSize(wrong), undefined, wrong);
  }
});

/** The texts of some numbers, in order. */
const formats: [says: string, format: (...numbers: number[]) => string, [number[], string][]][] = [
  ["formatSize() uses the largest unit that leaves at least one", formatSize, [
    [[0], "0 bytes"],
    [[1], "1 byte"],
    [[1023], "1023 bytes"],
    [[1024], "1 KiB"],
    [[1536], "1.5 KiB"],
    [[MIB], "1 MiB"],
    [[3 * 1024 ** 4], "3 TiB"],
    [[1024 ** 4 - 4096], "1.0 TiB"],
  ]],
  ["formatDuration() shows seconds, minutes and hours", formatDuration, [
    [[0], "0 s"],
    [[59], "59 s"],
    [[60], "1:00"],
    [[65.4], "1:05"],
    [[3599], "59:59"],
    [[3723], "1:02:03"],
  ]],
  ["formatCount() is exact, and adds a unit to large counts", formatCount, [
    [[0], "0 bytes"],
    [[1], "1 byte"],
    [[1023], "1023 bytes"],
    [[200_001], "200001 bytes (195.3 KiB)"],
  ]],
  ["formatRate() takes the unit that suits", formatRate, [
    [[0, 0], "0 bytes/s"],
    [[10, 3], "3 bytes/s"],
    [[5000, 2], "2.4 KiB/s"],
    [[MIB, 1], "1 MiB/s"],
    [[3 * 1024 * MIB, 2], "1.5 GiB/s"],
  ]],
  ["formatPace() gives no rate of what is little and quick", formatPace, [
    [[5, 0.0003], "1 ms"],
    [[5, 0.012], "12 ms"],
    [[MIB, 0.5], "500 ms, 2 MiB/s"],
    [[5000, 2], "2.00 s, 2.4 KiB/s"],
    [[MIB, 3723], "1:02:03, 282 bytes/s"],
  ]],
];

for (const [says, format, rows] of formats) {
  Deno.test(says, () => {
    for (const [numbers, text] of rows) assertEquals(format(...numbers), text);
  });
}
