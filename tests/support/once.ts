// The suite runs a second time with io_uring refused. Tests that do not depend on the engine run only the first time.

/** Whether this run registers the tests that do not depend on the engine. */
export const engineIsOfNoConcern: boolean = !Deno.env.get("DMA_TEST_AGAIN");

/** Registers a test that does not depend on the engine. */
export function testOnce(
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
  options: Omit<Deno.TestDefinition, "name" | "fn"> = {},
): void {
  if (engineIsOfNoConcern) Deno.test({ ...options, name, fn });
}
