// Runs one piece of work, and prints its outcome and the resources in use afterwards. NAME FOLDER
import { ioStats } from "../../../mod.ts";
import { outcomeOf, scenarios } from "../scenarios.ts";

const [name, folder = ""] = Deno.args as [keyof typeof scenarios, string];
const outcome = await outcomeOf(scenarios[name], folder);
const { inFlight, poolBuffers, bytesWritten } = ioStats();
console.log(JSON.stringify({ ...outcome, inFlight, poolBuffers, bytesWritten }));
