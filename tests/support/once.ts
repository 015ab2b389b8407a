// The suite runs a second time where io_uring is refused. What does not depend on the engine need not.

/** Whether this run is the one in which tests of no particular engine are registered. */
export const engineIsOfNoConcern: boolean = !Deno.env.get("DMA_TEST_AGAIN");

/** Registers a test that has nothing to do with the engine. */
export function testOnce(
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
  options: Omit<Deno.TestDefinition, "name" | "fn"> = {},
): void {
  if (engineIsOfNoConcern) Deno.test({ ...options, name, fn });
}
