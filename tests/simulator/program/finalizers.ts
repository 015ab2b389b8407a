// Replaces FinalizationRegistry: dropped objects are collected at moments that the program chooses.

interface Registration {
  readonly target: WeakKey;
  readonly token: WeakKey | undefined;
  readonly finalize: () => void;
}

let registrations: Registration[] = [];

/** The class that the module under test sees. */
export class Registry<T> implements FinalizationRegistry<T> {
  readonly [Symbol.toStringTag] = "FinalizationRegistry";

  constructor(readonly finalize: (held: T) => void) {}

  register(target: WeakKey, held: T, token?: WeakKey): void {
    registrations.push({ target, token, finalize: () => this.finalize(held) });
  }

  unregister(token: WeakKey): boolean {
    return remove((each) => each.token === token).length > 0;
  }
}

function remove(which: (registration: Registration) => boolean): Registration[] {
  const found = registrations.filter(which);
  registrations = registrations.filter((each) => !found.includes(each));
  return found;
}

export function collect(target: WeakKey): void {
  for (const { finalize } of remove((each) => each.target === target)) finalize();
}

export function forgetAll(): void {
  registrations = [];
}
