// self_test SHIM PART [emulated]
//
// Loads a compiled shim, as Deno would, and does one part of the self-test with it. Prints each check that does not
// hold, then how many there were. Exit code: 0 when all hold, 1 when not, 77 when this part cannot be done here.

#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shim shim;
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

int (*ring_init)(unsigned entries, struct io_uring *ring, unsigned flags);
int (*ring_submit)(struct io_uring *ring);
int (*ring_watch)(struct io_uring *ring, int eventfd);
void (*ring_exit)(struct io_uring *ring);

void load_liburing(void) {
  void *liburing = dlopen("liburing.so.2", RTLD_NOW);
  if (!liburing) skip("liburing is not there");
  ring_init = dlsym(liburing, "io_uring_queue_init");
  ring_submit = dlsym(liburing, "io_uring_submit");
  ring_watch = dlsym(liburing, "io_uring_register_eventfd");
  ring_exit = dlsym(liburing, "io_uring_queue_exit");
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
  // In the order of struct shim.
  static const char *const names[] = {"dma_abi",  "dma_map",  "dma_unmap",          "dma_prepare",
                                      "dma_reap", "dma_call", "dma_call_on_thread", "dma_on_thread_exit"};
  void *functions[sizeof names / sizeof *names];
  FOR_EACH(at, names) {
    if (!library || !(functions[at] = dlsym(library, names[at]))) give_up(dlerror());
  }
  _Static_assert(sizeof functions == sizeof shim, "one name for each function");
  memcpy(&shim, functions, sizeof shim);
  // It must stay mapped, because other threads may be running its functions (ffi/shim.ts).
  dlclose(library);
}

// The numbers of this processor's headers that TypeScript has written down, as JSON.
static void print_constants(void) {
#define FLAG(name) {#name, name}
  static const struct {
    const char *name;
    long long value;
  } flags[] = {FLAG(O_RDONLY),    FLAG(O_WRONLY),   FLAG(O_RDWR), FLAG(O_CREAT),    FLAG(O_EXCL),
               FLAG(O_APPEND),    FLAG(O_NONBLOCK), FLAG(O_PATH), FLAG(O_NOFOLLOW), FLAG(O_DIRECT),
               FLAG(O_DIRECTORY), FLAG(O_TMPFILE),  FLAG(O_CLOEXEC)};
  printf("{\n");
  FOR_EACH(at, flags) printf("\"%s\": %lld,\n", flags[at].name, flags[at].value);
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
  if (count < 3) {
    fprintf(stderr, "usage: self_test SHIM PART [emulated]\n       self_test constants\n");
    return 2;
  }
  emulated = count > 3 && strcmp(arguments[3], "emulated") == 0;
  load(arguments[1]);
  for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
    if (strcmp(parts[part].name, arguments[2])) continue;
    parts[part].run();
    printf("%d checks, %d failed\n", checks, failures);
    return failures || !checks;
  }
  fprintf(stderr, "There is no part %s\n", arguments[2]);
  return 2;
}
