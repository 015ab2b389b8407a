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
  assertEquals(
    ["0", "4096", "512K", "512k", "1M", "1MiB", "2GB"].map(parseSize),
    [0, 4096, 524_288, 524_288, 1_048_576, 1_048_576, 2_147_483_648],
  );
  for (const wrong of ["", "K", "-1", "1.5M", "1X", "1e6", "9999999999999999999", "0x10"]) {
    assertEquals(parseSize(wrong), undefined, wrong);
  }
});

Deno.test("formatSize() uses the largest unit that leaves at least one", () => {
  assertEquals(
    [0, 1, 1023, 1024, 1536, 1_048_576, 3 * 1024 ** 4].map(formatSize),
    ["0 bytes", "1 byte", "1023 bytes", "1 KiB", "1.5 KiB", "1 MiB", "3 TiB"],
  );
  assertEquals(formatSize(1024 ** 4 - 4096), "1.0 TiB");
});

Deno.test("formatDuration() shows seconds, minutes and hours", () => {
  assertEquals([0, 59, 60, 65.4, 3599, 3723].map(formatDuration), [
    "0 s",
    "59 s",
    "1:00",
    "1:05",
    "59:59",
    "1:02:03",
  ]);
});

Deno.test("formatCount() is exact, and adds a unit to large counts", () => {
  assertEquals([0, 1, 1023, 200_001].map(formatCount), [
    "0 bytes",
    "1 byte",
    "1023 bytes",
    "200001 bytes (195.3 KiB)",
  ]);
});

Deno.test("formatRate() takes the unit that suits", () => {
  const rates: [number, number][] = [[0, 0], [10, 3], [5000, 2], [MIB, 1], [3 * 1024 * MIB, 2]];
  assertEquals(rates.map(([bytes, seconds]) => formatRate(bytes, seconds)), [
    "0 bytes/s",
    "3 bytes/s",
    "2.4 KiB/s",
    "1 MiB/s",
    "1.5 GiB/s",
  ]);
});

Deno.test("formatPace() gives no rate of what is little and quick", () => {
  const paces: [number, number][] = [[5, 0.0003], [5, 0.012], [MIB, 0.5], [5000, 2], [MIB, 3723]];
  assertEquals(paces.map(([bytes, seconds]) => formatPace(bytes, seconds)), [
    "1 ms",
    "12 ms",
    "500 ms, 2 MiB/s",
    "2.00 s, 2.4 KiB/s",
    "1:02:03, 282 bytes/s",
  ]);
});
