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
  warn(`dma: ${inOneLine(text)}\n`);
}

/** Text that is one line, and that no terminal obeys: control characters, which names of files can have, are spelt. */
export function inOneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => {
    const spelt = JSON.stringify(control).slice(1, -1);
    return spelt !== control ? spelt : `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** What an error says, whatever was thrown. */
export function describe(error: unknown): string {
  return (error instanceof Error ? error.message || error.name : String(error)).trim();
}
