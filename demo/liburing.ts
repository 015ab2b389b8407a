// Installs liburing if it is missing, so that the demo needs no preparation on Debian and its derivatives.

function loads(): boolean {
  try {
    Deno.dlopen("liburing.so.2", {}).close();
    return true;
  } catch {
    return false;
  }
}

async function run(command: string, ...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
      env: { DEBIAN_FRONTEND: "noninteractive" },
    }).output();
    return success;
  } catch {
    return false;
  }
}

/** Installs liburing unless it can be loaded. If that fails, the demo runs on threads. */
export async function ensureLiburing(): Promise<void> {
  if (loads()) return;
  console.log("liburing is missing; installing it: apt-get install liburing2");
  const [command, ...before] = Deno.uid() === 0 ? ["apt-get"] : ["sudo", "-n", "apt-get"];
  // A fresh container has no package lists. If the update fails, existing lists may still be usable.
  await run(command!, ...before, "update", "-qq");
  await run(command!, ...before, "install", "-y", "-qq", "--no-install-recommends", "liburing2");
  if (!loads()) {
    console.log("liburing could not be installed: the demo runs without io_uring, on threads.");
  }
}
