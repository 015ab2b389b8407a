// The families of contestants, and the colour of each: the same in every chart.

/** The module's own colour stands out. All are visible on white and on black. */
export const COLOURS: Readonly<Record<string, string>> = {
  "this module": "#e8590c",
  Deno: "#228be6",
  Node: "#37b24d",
  Bun: "#cc5de8",
  dd: "#868e96",
  fio: "#868e96",
  glommio: "#7950f2",
  "C, the system calls": "#868e96",
};

/** The family that a label belongs to. */
export function familyOf(label: string): string {
  return Object.keys(COLOURS).find((family) => label.startsWith(family)) ??
    Object.keys(COLOURS).find((family) => label.includes(family)) ?? label;
}
