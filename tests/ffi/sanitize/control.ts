// Runs a deliberate mistake in C. LIBRARY overflow|wrap
const [library = "", mistake = ""] = Deno.args;
const { symbols } = Deno.dlopen(library, {
  overflow: { parameters: ["i32"], result: "i32" },
  wrap: { parameters: ["i32"], result: "i32" },
});
if (mistake === "overflow") symbols.overflow(8);
else if (mistake === "wrap") symbols.wrap(0x7fff_ffff);
console.log("unnoticed");
