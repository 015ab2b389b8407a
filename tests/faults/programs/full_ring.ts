// Runs more reads at once than a small ring has room for. FILE
import { configure, DmaFile, engineInfo, ioStats } from "../../../mod.ts";
import { firstWrong } from "../content.ts";

/** The output. */
export interface FullRing {
  engine: string | null;
  /** The positions at which wrong bytes were read. */
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
