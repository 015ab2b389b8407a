// Output to descriptors 1 and 2 that knows whether it arrived: a reader that went away must not fail a copy, nor pass unseen.

const encoder = new TextEncoder();

function writeAllSync(to: { writeSync(bytes: Uint8Array): number }, text: string) {
  const bytes = encoder.encode(text);
  for (let done = 0; done < bytes.length;) done += to.writeSync(bytes.subarray(done));
}

/** What the user asked for, to standard output. Throws where it cannot be written. */
export function print(text: string): void {
  writeAllSync(Deno.stdout, text + "\n");
}

/** Text to standard error as it is; dropped where nobody can read it any more. */
export function warn(text: string): void {
  try {
    writeAllSync(Deno.stderr, text);
  } catch {
    // The exit code still says it.
  }
}

/** One line about what happens, to standard error. */
export function note(text: string): void {
  warn(`dma: ${text}\n`);
}

/** One line for an error, whatever was thrown. */
export function describe(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.trim().split("\n", 1)[0] ?? "";
}
