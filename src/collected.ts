// Releases the resources of objects that a program drops without closing them.

const registry = new FinalizationRegistry<() => void>((end) => end());

/** Calls `end`, which must not refer to `object`, if `object` is collected before `ended` settles. */
export function whenDropped(object: WeakKey, ended: Promise<void>, end: () => void): void {
  registry.register(object, end, end);
  // At once: otherwise the object graph survives minor collections.
  const unregister = () => void registry.unregister(end);
  ended.then(unregister, unregister);
}
