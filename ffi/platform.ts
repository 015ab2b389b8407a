// Which platforms this module runs on, and the one error for all others: given at the first use, so that a program may
// import it anywhere.

const architectures: readonly string[] = ["x86_64", "aarch64"];

/**
 * Does nothing where the module can run.
 *
 * @throws {Deno.errors.NotSupported} it cannot run on this platform
 */
export function assertPlatform(): void {
  const { os, arch } = Deno.build;
  if (os === "linux" && architectures.includes(arch)) return;
  throw new Deno.errors.NotSupported(
    `Cannot run on ${os} ${arch}: Direct I/O and io_uring need Linux on ${
      architectures.join(" or ")
    }`,
  );
}
