// Runs one piece of work and prints its outcome. NAME FOLDER
import { scenarios } from "../scenarios.ts";

const [name = "", folder = ""] = Deno.args;
console.log(JSON.stringify(await scenarios[name]!(folder)));
