// Another program that works against names as fast as it can, until its input ends.
//
//   swapper exchange FIRST SECOND   gives each of two names what the other one has
//   swapper replace NAME TARGET     puts a symbolic link to TARGET in the place of each regular file that NAME gets
//
// Each line of input is answered by the number of swaps.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *first, *second;
static atomic_long swaps;

static void *exchange(void *unused) {
  for (;;) {
    if (renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) == 0) swaps++;
  }
  return unused;
}

static void *replace(void *unused) {
  char link[4096];
  snprintf(link, sizeof link, "%s.link", first);
  for (;;) {
    struct stat facts;
    if (lstat(first, &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
    unlink(link);
    if (symlink(second, link) == 0 && rename(link, first) == 0) swaps++;
  }
  return unused;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  first = arguments[2];
  second = arguments[3];
  pthread_t thread;
  void *(*work)(void *) = strcmp(arguments[1], "replace") == 0 ? replace : exchange;
  if (pthread_create(&thread, NULL, work, NULL) != 0) return 1;
  puts("ready");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("%ld\n", (long)swaps);
    fflush(stdout);
  }
  return 0;
}
