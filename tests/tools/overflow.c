// A library with mistakes, to show that the sanitizers work: see tests/ffi/sanitize.ts.

#include <stdlib.h>

// Writes behind the end of what it allocated.
int overflow(int length) {
  char *bytes = malloc((size_t)length);
  bytes[length] = 1;
  int result = bytes[0];
  free(bytes);
  return result;
}

// Adds past the largest number there is.
int wrap(int number) { return number + 1; }
