// Replaces FinalizationRegistry: dropped objects are collected at moments that the program chooses.

interface Registration {
  readonly target: WeakKey;
  readonly token: WeakKey | undefined;
  readonly finalize: () => void;
}

/** All registered objects. */
export class Finalizers {
  #registrations: Registration[] = [];

  #remove(which: (registration: Registration) => boolean): Registration[] {
    const found = this.#registrations.filter(which);
    this.#registrations = this.#registrations.filter((each) => !found.includes(each));
    return found;
  }

  /** The class that the module under test sees. */
  registryClass(): typeof FinalizationRegistry {
    const register = (registration: Registration) => this.#registrations.push(registration);
    const unregister = (token: WeakKey) => this.#remove((each) => each.token === token).length > 0;
    return class<T> {
      readonly unregister = unregister;
      constructor(readonly finalize: (held: T) => void) {}
      register(target: WeakKey, held: T, token?: WeakKey): void {
        register({ target, token, finalize: () => this.finalize(held) });
      }
    } as unknown as typeof FinalizationRegistry;
  }

  /** Collects an object. */
  collect(target: WeakKey): void {
    for (const { finalize } of this.#remove((each) => each.target === target)) finalize();
  }

  /** Forgets the objects of the last program. */
  clear(): void {
    this.#registrations = [];
  }
}
