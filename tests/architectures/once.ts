// The suite runs a second time on the engine without a ring. What does not depend on the engine need not.

/** Whether this run is the one in which tests of no particular engine are registered. */
export const engineIsOfNoConcern: boolean = Deno.env.get("DMA_ENGINE") !== "threads";
