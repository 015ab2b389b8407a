// The supported platforms, and the error for all others. It is thrown at the first use, so that a program can import
// the module anywhere.

const architectures: readonly string[] = ["x86_64", "aarch64"];

/** Throws NotSupported if the module cannot run on this platform. */
export function assertPlatform(): void {
  const { os, arch } = Deno.build;
  if (os === "linux" && architectures.includes(arch)) return;
  throw new Deno.errors.NotSupported(
    `Cannot run on ${os} ${arch}: Direct I/O and io_uring need Linux on ${
      architectures.join(" or ")
    }`,
  );
}
