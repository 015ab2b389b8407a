// Work that must not run beside other work on the same object.

/** The last work of each object. */
const last = new WeakMap<object, Promise<unknown>>();

/** Runs work on an object when all earlier work on it is over, whether that failed or not. */
export function inTurn<T>(object: object, work: () => Promise<T>): Promise<T> {
  const done = (last.get(object) ?? Promise.resolve()).then(work);
  last.set(object, done.catch(() => {}));
  return done;
}
