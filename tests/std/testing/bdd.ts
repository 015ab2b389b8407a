// Stands in for @std/testing/bdd where JSR is out of reach: describe and it, on the steps of
// Deno.test.

type TestFunction<T> = (this: T, t: Deno.TestContext) => void | Promise<void>;
type Hook<T> = (this: T) => void | Promise<void>;

/** Settings of a suite or a test, as of Deno.test. */
export type Options = Omit<Deno.TestDefinition, "name" | "fn">;

interface Case {
  readonly name: string;
  readonly options: Options;
  run(t: Deno.TestContext, context: object): void | Promise<void>;
}

/** One call of describe. */
class Suite {
  readonly cases: Case[] = [];
  readonly hooks = {
    beforeAll: [] as Hook<object>[],
    beforeEach: [] as Hook<object>[],
    afterEach: [] as Hook<object>[],
    afterAll: [] as Hook<object>[],
  };
  readonly outer: Suite | undefined;

  constructor(outer: Suite | undefined) {
    this.outer = outer;
  }

  async run(t: Deno.TestContext, outerContext: object): Promise<void> {
    // What a hook sets on `this` is seen further in, and not further out.
    const context = Object.create(outerContext);
    try {
      for (const hook of this.hooks.beforeAll) await hook.call(context);
      for (const { name, options, run } of this.cases) {
        const { ignore = false, sanitizeOps, sanitizeResources, sanitizeExit } = options;
        await t.step({
          name,
          ignore,
          ...defined({ sanitizeOps, sanitizeResources, sanitizeExit }),
          fn: (step) => run(step, context),
        });
      }
    } finally {
      for (const hook of this.hooks.afterAll) await hook.call(context);
    }
  }

  /** From the outermost suite inwards. */
  async beforeEach(context: object): Promise<void> {
    await this.outer?.beforeEach(context);
    for (const hook of this.hooks.beforeEach) await hook.call(context);
  }

  /** From the innermost suite outwards. */
  async afterEach(context: object): Promise<void> {
    for (const hook of this.hooks.afterEach) await hook.call(context);
    await this.outer?.afterEach(context);
  }
}

let current: Suite | undefined;

/** Registers a suite: one test of Deno's, with a step for each test in it. */
export function describe(name: string, fn: () => void): void;
export function describe(name: string, options: Options, fn: () => void): void;
export function describe(name: string, ...rest: [() => void] | [Options, () => void]): void {
  const [options, fn] = rest.length === 1 ? [{}, rest[0]] : rest;
  const outer = current;
  const suite = new Suite(outer);
  current = suite;
  try {
    fn();
  } finally {
    current = outer;
  }
  register({ name, options, run: (t, context) => suite.run(t, context) });
}

/** Registers a test, in the suite around it if there is one. */
export function it<T = object>(name: string, fn: TestFunction<T>): void;
export function it<T = object>(name: string, options: Options, fn: TestFunction<T>): void;
export function it<T = object>(
  name: string,
  ...rest: [TestFunction<T>] | [Options, TestFunction<T>]
): void {
  const [options, fn] = rest.length === 1 ? [{}, rest[0]] : rest;
  const suite = current;
  register({
    name,
    options,
    async run(t, outerContext) {
      const context = Object.create(outerContext);
      try {
        await suite?.beforeEach(context);
        await fn.call(context, t);
      } finally {
        await suite?.afterEach(context);
      }
    },
  });
}

/** Registers the suite as ignored. */
describe.ignore = (name: string, fn: () => void): void => describe(name, { ignore: true }, fn);

/** Registers the test as ignored. */
it.ignore = <T = object>(name: string, fn: TestFunction<T>): void => it(name, { ignore: true }, fn);

/** Runs before the first test of the suite. */
export function beforeAll<T = object>(fn: Hook<T>): void {
  addHook("beforeAll", fn);
}

/** Runs after the last test of the suite, also where one failed. */
export function afterAll<T = object>(fn: Hook<T>): void {
  addHook("afterAll", fn);
}

/** Runs before each test of the suite and of those in it. */
export function beforeEach<T = object>(fn: Hook<T>): void {
  addHook("beforeEach", fn);
}

/** Runs after each test of the suite and of those in it, also where it failed. */
export function afterEach<T = object>(fn: Hook<T>): void {
  addHook("afterEach", fn);
}

function addHook<T>(when: keyof Suite["hooks"], fn: Hook<T>): void {
  if (!current) throw new Error(`Cannot call ${when}() here: it must be called within describe()`);
  current.hooks[when].push(fn as Hook<object>);
}

function register(each: Case): void {
  if (current) current.cases.push(each);
  else Deno.test({ ...each.options, name: each.name, fn: (t) => each.run(t, {}) });
}

/** Settings that are undefined are not the same to Deno as settings that are absent. */
function defined<T extends object>(settings: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
