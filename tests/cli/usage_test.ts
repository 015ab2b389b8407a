// Wrong arguments end with exit code 2 and one line of error, and no file is touched.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { namesIn, pattern } from "../support/bytes.ts";
import { dma, fails, testInDirectory } from "./process.ts";

const LINE = /^dma: /;
const ENDS_WITH_HELP = /1M, at most 1 GiB; dma write --help says more\n$/;

/** Arguments of `dma`, in a directory with the files `in` and `out`, and the expected error. */
const wrong: [args: string, says: string | RegExp][] = [
  ["write --buffer-size many DIR/out", ENDS_WITH_HELP],
  ["write --buffer-size -1 DIR/out", LINE],
  ["write --buffer-size 2G DIR/out", ENDS_WITH_HELP],
  ["write --write-behind 0 DIR/out", LINE],
  ["write --write-behind 1.5 DIR/out", LINE],
  ["write --direct maybe DIR/out", LINE],
  ["write --flush-every often DIR/out", LINE],
  ["write --flush-every 5 DIR/out", LINE],
  ["write --flush-every 61m DIR/out", LINE],
  ["write --size -1 DIR/out", LINE],
  ["write --size much DIR/out", "It must be a size such as 500M, 10G or 2T"],
  ["write --atomic --append DIR/out", LINE],
  ["write --direct require --append DIR/out", "'--direct require' cannot be used with option"],
  ["write --no-clobber --atomic DIR/out", "--no-clobber"],
  ["write --no-clobber --append DIR/out", "--no-clobber"],
  ["write --no-such-option DIR/out", LINE],
  ["write --atomic -", "'--atomic' cannot be used with standard output"],
  ["write --json -", "'--json' cannot be used with standard output"],
  ["copy --no-sync DIR/in -", "'--no-sync' cannot be used with standard output"],
  ["copy --preserve - DIR/out", "'--preserve' cannot be used with standard input"],
  ["copy --sparse always DIR/in DIR/out", "Allowed choices are auto, never"],
  ["write ", "It must not be empty"],
  ["copy  DIR/out", "It must not be empty"],
  ["doctor ", "It must not be empty"],
  ["write", "missing required argument 'dest'"],
  ["copy one", "missing required argument 'dest'"],
  ["burn", "unknown command 'burn'"],
  ["bench --seconds 0", LINE],
  ["bench --seconds 1.5", LINE],
  ["bench --size 1K", LINE],
  ["bench --size x", LINE],
  ["completion tcsh", LINE],
  ["completion bash --name $(x)", LINE],
  ["completion bash --name ", LINE],
  [
    "write --allow-write x",
    "go before the name of the program, as in deno run --allow-write ...\n",
  ],
  ["write --allow-read=/tmp x", "as in deno run --allow-read=/tmp ...\n"],
  ["write -A x", "as in deno run -A ...\n"],
  ["wriet x", "(Did you mean write?)\n"],
  ["help wriet", "(Did you mean write?)\n"],
  ["wriet --help", "(Did you mean write?)\n"],
  ["write --atomc x", "(Did you mean --atomic?)\n"],
  ["copy --bufer-size 1M a b", "(Did you mean --buffer-size?)\n"],
];

testInDirectory("dma ends with 2 and touches nothing if the arguments are wrong", async (dir) => {
  for (const name of ["in", "out"]) await Deno.writeTextFile(`${dir}/${name}`, name);
  for (const [args, says] of wrong) {
    await fails(2, args.replaceAll("DIR", dir).split(" "), says, pattern(10));
  }
  assertEquals(await namesIn(dir), ["in", "out"]);
  for (const name of ["in", "out"]) assertEquals(await Deno.readTextFile(`${dir}/${name}`), name);
});

testInDirectory("A bare dma ends with 2 and prints its help", async () => {
  const { code, stdout, stderr } = await dma([]);
  assertEquals([code, stdout], [2, ""]);
  assertStringIncludes(stderr, "Commands:\n  write <dest> ");
});
