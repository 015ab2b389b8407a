// Replaces FinalizationRegistry: dropped objects are collected at moments that the program chooses.

interface Registration {
  readonly target: WeakKey;
  readonly held: unknown;
  readonly token: WeakKey | undefined;
  readonly finalize: (held: unknown) => void;
}

/** All registered objects. */
export class Finalizers {
  readonly #registrations = new Set<Registration>();

  /** The class that the module under test sees. */
  registryClass(): typeof FinalizationRegistry {
    const registrations = this.#registrations;
    return class<T> {
      readonly #finalize: (held: T) => void;
      constructor(finalize: (held: T) => void) {
        this.#finalize = finalize;
      }
      register(target: WeakKey, held: T, token?: WeakKey): void {
        const finalize = this.#finalize as (held: unknown) => void;
        registrations.add({ target, held, token, finalize });
      }
      unregister(token: WeakKey): boolean {
        const found = [...registrations].filter((each) => each.token === token);
        for (const each of found) registrations.delete(each);
        return found.length > 0;
      }
    } as unknown as typeof FinalizationRegistry;
  }

  /** Collects an object. */
  collect(target: WeakKey): void {
    for (const each of [...this.#registrations]) {
      if (each.target !== target) continue;
      this.#registrations.delete(each);
      each.finalize(each.held);
    }
  }

  /** Forgets the objects of the last program. */
  clear(): void {
    this.#registrations.clear();
  }
}
