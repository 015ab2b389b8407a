// What this isolate is, where that decides whether the kernel may have JavaScript's own memory.

/**
 * Whether this isolate can be ended from outside while I/O is in flight, as a Worker can by `terminate`.
 *
 * Its heap is then freed under the kernel. Memory of the pool is not, so in a Worker all I/O goes through it, at the cost
 * of a copy.
 */
export const terminable: boolean = "WorkerGlobalScope" in globalThis;
