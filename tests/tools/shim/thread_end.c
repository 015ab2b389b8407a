// What happens when a thread ends: what its isolate had is given back, after everything that is still in flight.

#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESOURCES_BYTES 65536

// As ffi/shim.c and ffi/thread_exit.ts lay it out. Written down again: a place that changes there must fail here.
struct resources {
  double ring, mappings;
  int32_t calls, running, closed, notifier;
  uint8_t descriptors[8192];
  int32_t results[1024];
  struct {
    double address, length;
  } mapping[3000];
};

static struct resources *resources;
static int pipes[2];

static void on_thread_exit(void) { ((void (*)(void *))(uintptr_t)shim.on_thread_exit_address())(resources); }

static int is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

// Whether the kernel finds memory there.
static int mapped(double address) {
  int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  int32_t result = shim.call(IORING_OP_READ, fd, address, 1, 0, 0);
  close(fd);
  return result == 1;
}

static void own(int fd) { resources->descriptors[fd / 8] |= (uint8_t)(1 << fd % 8); }

static double list(double length) {
  double address = shim.map(length, 0);
  int index = (int)resources->mappings++;
  resources->mapping[index].address = address;
  resources->mapping[index].length = length;
  return address;
}

static void on_a_thread(void *(*run)(void *)) {
  pthread_t thread;
  resources = (struct resources *)(uintptr_t)shim.map(RESOURCES_BYTES, 0);
  resources->notifier = -1;
  if (pipe2(pipes, O_CLOEXEC)) give_up("pipe2");
  if (pthread_create(&thread, NULL, run, NULL)) give_up("pthread_create");
  pthread_join(thread, NULL);
  close(pipes[1]);
}

// Lets what waits for the pipe go on, a while later.
static void *send_later(void *unused) {
  (void)unused;
  usleep(200000);
  if (write(pipes[1], "x", 1) != 1) give_up("write");
  return NULL;
}

static void *without_ring(void *unused) {
  (void)unused;
  double first = list(4096), second = list(1 << 20), other = shim.map(4096, 0), mine = AT(resources);
  own(pipes[0]);
  on_thread_exit();
  CHECK(!is_open(pipes[0]));
  CHECK(is_open(pipes[1]));
  CHECK(!mapped(first));
  CHECK(!mapped(second));
  CHECK(!mapped(mine));
  CHECK(mapped(other));
  shim.unmap(other, 4096);
  return NULL;
}

static void *read_on_thread(void *memory) {
  shim.call_on_thread(resources, NO_RESULT, CALL_READ_STREAM, pipes[0], *(double *)memory, 1, 0, 0);
  return NULL;
}

static void *with_a_call(void *unused) {
  (void)unused;
  pthread_t reader, sender;
  double memory = list(4096);
  resources->calls = 1;
  if (pthread_create(&reader, NULL, read_on_thread, &memory)) give_up("pthread_create");
  if (pthread_create(&sender, NULL, send_later, NULL)) give_up("pthread_create");
  while (__atomic_load_n(&resources->running, __ATOMIC_SEQ_CST) == 0) usleep(1000);
  CHECK(mapped(memory));
  on_thread_exit();
  CHECK(!mapped(memory));
  // Only now: the call had ended before.
  pthread_join(sender, NULL);
  pthread_join(reader, NULL);
  close(pipes[0]);
  return NULL;
}

static void *with_a_late_call(void *unused) {
  (void)unused;
  double memory = list(4096);
  own(pipes[0]);
  resources->calls = 1;
  on_thread_exit();
  CHECK(!mapped(memory));
  CHECK(!is_open(pipes[0]));
  // It finds that there is nothing left, and does nothing.
  CHECK(mapped(AT(resources)));
  CHECK(!mapped(AT(resources) + RESOURCES_BYTES - 1));
  EQUAL(shim.call_on_thread(resources, NO_RESULT, IORING_OP_OPENAT, AT_FDCWD, AT("/dev/zero"), 0, 0, O_RDONLY | O_CLOEXEC), -ECANCELED);
  EQUAL(resources->calls, 0);
  shim.unmap(AT(resources), RESOURCES_BYTES / 4);
  return NULL;
}

static void *with_a_stuck_call(void *unused) {
  (void)unused;
  double memory = list(4096);
  pthread_t reader;
  own(pipes[0]);
  resources->calls = 1;
  if (pthread_create(&reader, NULL, read_on_thread, &memory)) give_up("pthread_create");
  while (__atomic_load_n(&resources->running, __ATOMIC_SEQ_CST) == 0) usleep(1000);
  on_thread_exit();
  CHECK(mapped(memory));
  CHECK(is_open(pipes[0]));
  CHECK(write(pipes[1], "z", 1) == 1);
  pthread_join(reader, NULL);
  EQUAL(*(char *)(uintptr_t)memory, 'z');
  shim.unmap(memory, 4096);
  shim.unmap(AT(resources), RESOURCES_BYTES);
  close(pipes[0]);
  return NULL;
}

static void *read_notifier(void *memory) {
  shim.call_on_thread(resources, NO_RESULT, CALL_READ_STREAM, resources->notifier, *(double *)memory, 8, 0, 0);
  return NULL;
}

static void *with_a_parked_call(void *unused) {
  (void)unused;
  double memory = list(4096);
  pthread_t reader;
  int notifier = resources->notifier = shim.call(CALL_EVENTFD, -1, 0, 0, 0, 0);
  own(notifier);
  resources->calls = 1;
  if (pthread_create(&reader, NULL, read_notifier, &memory)) give_up("pthread_create");
  while (__atomic_load_n(&resources->running, __ATOMIC_SEQ_CST) == 0) usleep(1000);
  on_thread_exit();
  CHECK(!mapped(memory));
  CHECK(!is_open(notifier));
  pthread_join(reader, NULL);
  close(pipes[0]);
  return NULL;
}

static void *opening(void *unused) {
  (void)unused;
  resources->calls = 1;
  int fd = shim.call_on_thread(resources, NO_RESULT, IORING_OP_OPENAT, AT_FDCWD, AT("/dev/zero"), 0, 0, O_RDONLY | O_CLOEXEC);
  EQUAL(resources->calls, 0);
  CHECK(is_open(fd));
  on_thread_exit();
  CHECK(!is_open(fd));
  close(pipes[0]);
  return NULL;
}

static void *closing(void *unused) {
  (void)unused;
  EQUAL(shim.call(CALL_IS_MAIN_THREAD, -1, 0, 0, 0, 0), 0);
  int fd = dup(pipes[1]);
  own(fd);
  resources->calls = 1;
  resources->results[1023] = 7;
  EQUAL(shim.call_on_thread(resources, 1023, IORING_OP_CLOSE, fd, 0, 0, 0, 0), 0);
  EQUAL(resources->results[1023], 0);
  CHECK(!is_open(fd));
  // Its number is another file's by now, which stays open.
  EQUAL(dup(pipes[1]), fd);
  on_thread_exit();
  CHECK(is_open(fd));
  close(fd);
  close(pipes[0]);
  return NULL;
}

static void *closing_many(void *unused) {
  (void)unused;
  int32_t fds[] = {dup(pipes[1]), -1, dup(pipes[1])};
  int first = fds[0], last = fds[2];
  own(first);
  own(last);
  resources->calls = 1;
  EQUAL(shim.call_on_thread(resources, NO_RESULT, CALL_CLOSE_MANY, -1, AT(fds), 3, 0, 0), 0);
  EQUAL(fds[0], 0);
  EQUAL(fds[1], -EBADF);
  EQUAL(fds[2], 0);
  CHECK(!is_open(first) && !is_open(last));
  // Their numbers are other files' by now, which stay open.
  EQUAL(dup(pipes[1]), first);
  EQUAL(dup(pipes[1]), last);
  on_thread_exit();
  CHECK(is_open(first) && is_open(last));
  close(first);
  close(last);
  close(pipes[0]);
  return NULL;
}

// A close that never got its thread: what it would have closed is closed at the end.
static void *with_a_late_close(void *unused) {
  (void)unused;
  int fd = dup(pipes[1]);
  own(fd);
  resources->calls = 1;
  on_thread_exit();
  CHECK(!is_open(fd));
  EQUAL(dup(pipes[1]), fd);
  EQUAL(shim.call_on_thread(resources, NO_RESULT, IORING_OP_CLOSE, fd, 0, 0, 0, 0), -ECANCELED);
  CHECK(is_open(fd));
  close(fd);
  shim.unmap(AT(resources), RESOURCES_BYTES / 4);
  close(pipes[0]);
  return NULL;
}

static int (*init)(unsigned, struct io_uring *, unsigned);
static int (*submit)(struct io_uring *);

static struct io_uring *make_ring(void) {
  double memory = list(8192);
  struct io_uring *ring = (struct io_uring *)(uintptr_t)memory;
  if (!EQUAL(init(8, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN), 0)) give_up("ring");
  resources->ring = memory;
  return ring;
}

static void *with_a_ring(void *unused) {
  (void)unused;
  struct io_uring *ring = make_ring();
  int fd = ring->ring_fd;
  double memory = list(4096);
  pthread_t sender;
  EQUAL(shim.prepare(ring, IORING_OP_OPENAT, 0, AT_FDCWD, AT("/dev/zero"), 0, 0, O_RDONLY, 0, 1), 0);
  EQUAL(shim.prepare(ring, IORING_OP_READ, 0, pipes[0], memory, 1, 0, 0, 0, 2), 0);
  EQUAL(submit(ring), 2);
  int next = dup(pipes[1]);
  close(next);
  if (pthread_create(&sender, NULL, send_later, NULL)) give_up("pthread_create");
  on_thread_exit();
  CHECK(!is_open(fd));
  CHECK(!mapped(memory));
  CHECK(!mapped(AT(ring)));
  // Nothing took the number of what the ring opened: that was closed, too.
  int again = dup(pipes[1]);
  CHECK(again <= next);
  close(again);
  char byte;
  pthread_join(sender, NULL);
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  // The read of the ring had it, before its memory went.
  EQUAL(read(pipes[0], &byte, 1), -1);
  close(pipes[0]);
  return NULL;
}

static void *with_a_stuck_ring(void *unused) {
  (void)unused;
  struct io_uring *ring = make_ring();
  double memory = list(4096);
  EQUAL(shim.prepare(ring, IORING_OP_READ, 0, pipes[0], memory, 1, 0, 0, 0, 1), 0);
  EQUAL(submit(ring), 1);
  on_thread_exit();
  CHECK(is_open(ring->ring_fd));
  CHECK(mapped(memory));
  // What was in flight may come now, and has its memory.
  CHECK(write(pipes[1], "y", 1) == 1);
  int32_t out[2];
  for (int tries = 0; tries < 2000 && shim.reap(ring, out, 1) == 0; tries++) {
    usleep(1000);
    syscall(SYS_io_uring_enter, ring->ring_fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
  }
  EQUAL(out[1], 1);
  EQUAL(*(char *)(uintptr_t)memory, 'y');
  close(ring->ring_fd);
  close(pipes[0]);
  return NULL;
}

void test_thread_end(void) {
  resources = (struct resources *)(uintptr_t)shim.map(RESOURCES_BYTES, 0);
  double kept = list(4096);
  // Nothing on the main thread: the process ends with it.
  on_thread_exit();
  CHECK(mapped(kept));
  shim.unmap(kept, 4096);
  shim.unmap(AT(resources), RESOURCES_BYTES);
  on_a_thread(without_ring);
  on_a_thread(with_a_call);
  on_a_thread(with_a_late_call);
  on_a_thread(with_a_stuck_call);
  on_a_thread(with_a_parked_call);
  on_a_thread(opening);
  on_a_thread(closing);
  on_a_thread(closing_many);
  on_a_thread(with_a_late_close);
}

void test_ring_end(void) {
  void *liburing = dlopen("liburing.so.2", RTLD_NOW);
  if (!liburing) skip("liburing is not there");
  init = dlsym(liburing, "io_uring_queue_init");
  submit = dlsym(liburing, "io_uring_submit");
  void (*finish)(struct io_uring *) = dlsym(liburing, "io_uring_queue_exit");
  if (!init || !submit || !finish) give_up("liburing lacks a function");
  struct io_uring ring;
  int result = init(8, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  if (result < 0) skip("there is no such ring here");
  finish(&ring);
  on_a_thread(with_a_ring);
  on_a_thread(with_a_stuck_ring);
}
