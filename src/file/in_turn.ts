// Serializes work on one object.

const last = new WeakMap<object, Promise<unknown>>();

/** Runs work when all earlier work on the same object has ended, even if that has failed. */
export function inTurn<T>(object: object, work: () => Promise<T>): Promise<T> {
  const done = (last.get(object) ?? Promise.resolve()).then(work);
  last.set(object, done.catch(() => {}));
  return done;
}
