// Measures the other load of the machine, and waits for it to end: a comparison on a busy machine says little.

const WINDOW_MS = 100;
/** The other load, in cores, at which a run may start: a machine is never quite idle. */
const QUIET_CORES = 0.2;
/** The kernel counts in hundredths of a second. */
const TICKS = 100;

/** Busy seconds of all cores together, since the start of the machine. */
export async function busySeconds(): Promise<number> {
  const line = (await Deno.readTextFile("/proc/stat")).split("\n", 1)[0]!;
  const [user = 0, nice = 0, system = 0, _idle, _iowait, irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS;
}

/** Waits until the machine is idle, or the time is over. */
export async function waitForQuiet(patienceSeconds: number): Promise<void> {
  const end = performance.now() + patienceSeconds * 1000;
  while (performance.now() < end) {
    const before = await busySeconds();
    await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
    const cores = (await busySeconds() - before) * 1000 / WINDOW_MS;
    if (cores <= QUIET_CORES) return;
  }
}
