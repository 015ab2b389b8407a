// The numbers of this processor's headers that TypeScript has written down, as JSON.

#include "check.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>

#define SHOW(name) printf("\"%s\": %lld,\n", #name, (long long)(name))

void print_constants(void) {
  printf("{\n");
  SHOW(O_RDONLY);
  SHOW(O_WRONLY);
  SHOW(O_RDWR);
  SHOW(O_CREAT);
  SHOW(O_EXCL);
  SHOW(O_NONBLOCK);
  SHOW(O_CLOEXEC);
  SHOW(O_PATH);
  SHOW(O_NOFOLLOW);
  SHOW(O_DIRECT);
  SHOW(O_DIRECTORY);
  SHOW(O_TMPFILE);
  printf("\"errors\": {");
#if defined(__GLIBC__)
  const char *comma = "";
  for (int number = 1; number < 134; number++) {
    if (!strerrorname_np(number)) continue;
    printf("%s\"%d\": \"%s\"", comma, number, strerrorname_np(number));
    comma = ", ";
  }
#endif
  printf("}\n}\n");
}
