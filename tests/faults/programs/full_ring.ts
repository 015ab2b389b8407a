// Reads at more places at once than a small ring has room for. FILE
import { configure, DmaFile, engineInfo, ioStats } from "../../../mod.ts";
import { firstWrong } from "../content.ts";

/** What is printed. */
export interface FullRing {
  engine: string | null;
  /** The places where other bytes were read than those of the file. */
  wrong: number[];
  inFlight: number;
}

configure({ ringEntries: 8 });
const [path = ""] = Deno.args;
const file = await DmaFile.open(path);
const places = Array.from({ length: 200 }, (_, index) => index * 5000);
const results = await Promise.all(places.map((place) => file.readAt(place, 100)));
const wrong = places.filter((place, index) => firstWrong(results[index]!, 100, 0, place) >= 0);
await file.close();
const result: FullRing = { engine: engineInfo().engine, wrong, inFlight: ioStats().inFlight };
console.log(JSON.stringify(result));
