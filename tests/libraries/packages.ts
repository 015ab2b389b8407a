// The npm packages of these tests. If one is not available, its tests are counted as skipped.

import { say } from "../setup/command.ts";

/** Whether the package of an `npm:` specifier can be loaded, with the reason if not. */
export async function isAvailable(specifier: string): Promise<boolean> {
  try {
    await import(specifier);
    return true;
  } catch (error) {
    // A package that exists and fails is a failure.
    if (!isUnreachable(error)) throw error;
    say(`Skipped for want of ${specifier}: ${error.message.split("\n")[0]}`);
    return false;
  }
}

function isUnreachable(error: unknown): error is TypeError {
  return error instanceof TypeError && /^Failed loading .* for package /.test(error.message);
}
