// self_test SHIM DIRECTORY PART [emulated]
//
// Loads a compiled shim, as Deno would, and does one part of the self-test with it. Prints each check that
// does not hold, then how many there were. Exit code: 0 when all hold, 1 when not, 77 when this part cannot
// be done here.

#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shim shim;
const char *directory;
int emulated;

static int checks, failures;

int check(int holds, const char *text, const char *file, int line) {
  checks++;
  if (holds) return 1;
  failures++;
  printf("FAILED %s:%d: %s\n", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line, text);
  return 0;
}

int equal(double actual, double expected, const char *text, const char *file, int line) {
  if (check(actual == expected, text, file, line)) return 1;
  printf("  is %.0f, not %.0f\n", actual, expected);
  return 0;
}

void give_up(const char *what) {
  perror(what);
  exit(1);
}

void skip(const char *why) {
  printf("%s\n", why);
  exit(77);
}

int mapped(double address) {
  int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  int32_t result = shim.call(IORING_OP_READ, fd, address, 1, 0, 0);
  close(fd);
  if (result != 1) EQUAL(result, -EFAULT);
  return result == 1;
}

void *of_liburing(const char *name) {
  void *liburing = dlopen("liburing.so.2", RTLD_NOW);
  if (!liburing) skip("liburing is not there");
  void *function = dlsym(liburing, name);
  if (!function) give_up(name);
  return function;
}

static const struct {
  const char *name;
  void (*run)(void);
} parts[] = {
    {"memory", test_memory}, {"calls", test_calls}, {"prepare", test_prepare},       {"reap", test_reap},
    {"ring", test_ring},     {"ring-end", test_ring_end}, {"thread-end", test_thread_end},
};

static void load(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
#define LOAD(name) \
  if (!library || !(shim.name = dlsym(library, "dma_" #name))) give_up(dlerror())
  LOAD(abi);
  LOAD(map);
  LOAD(unmap);
  LOAD(prepare);
  LOAD(reap);
  LOAD(call);
  LOAD(call_on_thread);
  LOAD(on_thread_exit);
  // It must stay mapped, because other threads may be running its functions (ffi/shim.ts).
  dlclose(library);
}

// The numbers of this processor's headers that TypeScript has written down, as JSON.
static void print_constants(void) {
#define SHOW(name) printf("\"%s\": %lld,\n", #name, (long long)(name))
  printf("{\n");
  SHOW(O_RDONLY);
  SHOW(O_WRONLY);
  SHOW(O_RDWR);
  SHOW(O_CREAT);
  SHOW(O_EXCL);
  SHOW(O_APPEND);
  SHOW(O_NONBLOCK);
  SHOW(O_CLOEXEC);
  SHOW(O_PATH);
  SHOW(O_NOFOLLOW);
  SHOW(O_DIRECT);
  SHOW(O_DIRECTORY);
  SHOW(O_TMPFILE);
  printf("\"errors\": {");
#if defined(__GLIBC__)
  for (int number = 1; number < 134; number++) {
    const char *name = strerrorname_np(number);
    if (name) printf("%s\"%d\": \"%s\"", number > 1 ? ", " : "", number, name);
  }
#endif
  printf("}\n}\n");
}

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "constants") == 0) {
    print_constants();
    return 0;
  }
  if (count < 4) {
    fprintf(stderr, "usage: self_test SHIM DIRECTORY PART [emulated]\n       self_test constants\n");
    return 2;
  }
  directory = arguments[2];
  emulated = count > 4 && strcmp(arguments[4], "emulated") == 0;
  load(arguments[1]);
  for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
    if (strcmp(parts[part].name, arguments[3])) continue;
    parts[part].run();
    printf("%d checks, %d failed\n", checks, failures);
    return failures || !checks;
  }
  fprintf(stderr, "There is no part %s\n", arguments[3]);
  return 2;
}
