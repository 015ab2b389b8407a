// The suite runs a second time where io_uring is refused. What does not depend on the engine need not.

/** Whether this run is the one in which tests of no particular engine are registered. */
export const engineIsOfNoConcern: boolean = !Deno.env.get("DMA_TEST_AGAIN");
