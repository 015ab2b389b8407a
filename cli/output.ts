// Output to standard output and standard error. A closed pipe on standard error must not fail a copy.

const encoder = new TextEncoder();

function writeAllSync(to: { writeSync(bytes: Uint8Array): number }, text: string) {
  const bytes = encoder.encode(text);
  for (let done = 0; done < bytes.length;) done += to.writeSync(bytes.subarray(done));
}

/** Writes the requested output to standard output. Throws if it cannot be written. */
export function print(text: string): void {
  writeAllSync(Deno.stdout, text + "\n");
}

/** Writes text to standard error, and drops it if the reader has closed the pipe. */
export function warn(text: string): void {
  try {
    writeAllSync(Deno.stderr, text);
  } catch {
    // The exit code still reports the failure.
  }
}

/** Writes one line to standard error. */
export function note(text: string): void {
  warn(`dma: ${inOneLine(text)}\n`);
}

/** Writes an error, and its remedy if one is known, to standard error. */
export function noteError(error: unknown, remedy: string | undefined): void {
  note(remedy === undefined ? describe(error) : `${describe(error)}; ${remedy}`);
}

/**
 * Control and invisible characters: controls, line separators, and formatting characters, which can reverse the
 * direction of text. The two joiners are allowed as parts of words and emoji.
 */
const UNSEEN = /[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]--[\u200c\u200d]]/v;
const ALL_UNSEEN = new RegExp(UNSEEN, "gv");

/** Whether a text has characters that {@linkcode inOneLine} escapes. */
export function hasUnseen(text: string): boolean {
  return UNSEEN.test(text);
}

/** Escapes control and invisible characters as in a shell's `$'...'`: names of files can have any of them. */
export function inOneLine(text: string): string {
  return text.replace(ALL_UNSEEN, (character) => {
    const short = JSON.stringify(character).slice(1, -1);
    if (/^\\[bfnrt]$/.test(short)) return short;
    const code = character.codePointAt(0)!;
    return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
  });
}

/** A value as JSON, with control and invisible characters escaped. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(ALL_UNSEEN, (character) => {
    if (character === "\n") return character;
    return character.split("").map((unit) => `\\u${hex(unit.charCodeAt(0), 4)}`).join("");
  });
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}

/** The message of a thrown value. */
export function describe(error: unknown): string {
  return (error instanceof Error ? error.message || error.name : String(error)).trim();
}
