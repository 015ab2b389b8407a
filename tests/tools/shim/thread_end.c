// What happens when a thread ends: what its isolate had is given back, after everything that is still in flight.

#include "check.h"

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
  int32_t results[1022];
  struct {
    double address, length;
  } mapping[3000];
};

static struct resources *resources;
static int pipes[2];

static void on_thread_exit(void) { shim.on_thread_exit(resources); }

static int is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static void own(int fd) { resources->descriptors[fd / 8] |= (uint8_t)(1 << fd % 8); }

// Memory that the isolate has.
static double list(double length) {
  double address = shim.map(length, 0);
  int index = (int)resources->mappings++;
  resources->mapping[index].address = address;
  resources->mapping[index].length = length;
  return address;
}

// A call of the isolate's on this thread.
static int32_t call(uint32_t place, uint32_t opcode, int fd, double address, uint32_t length, uint32_t flags) {
  return shim.call_on_thread(resources, place, opcode, fd, address, length, 0, flags);
}

static int32_t open_zero(void) {
  return call(0, IORING_OP_OPENAT, AT_FDCWD, AT("/dev/zero"), 0, O_RDONLY | O_CLOEXEC);
}

static void *run_it(void *function) {
  (*(void (**)(void))function)();
  return NULL;
}

static pthread_t start(void *(*run)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, argument)) give_up("pthread_create");
  return thread;
}

// Does a part on a thread, for an isolate that has nothing yet.
static void on_a_thread(void (*part)(void)) {
  resources = (struct resources *)(uintptr_t)shim.map(RESOURCES_BYTES, 0);
  resources->notifier = -1;
  if (pipe2(pipes, O_CLOEXEC)) give_up("pipe2");
  pthread_join(start(run_it, &part), NULL);
  if (is_open(pipes[0])) close(pipes[0]);
  close(pipes[1]);
}

static void put_byte(char byte) {
  if (write(pipes[1], &byte, 1) != 1) give_up("write");
}

// Resumes the readers of the pipe after a while.
static void *send_later(void *unused) {
  usleep(200000);
  put_byte('x');
  return unused;
}

static void without_ring(void) {
  double first = list(4096), second = list(1 << 20), other = shim.map(4096, 0), mine = AT(resources);
  own(pipes[0]);
  on_thread_exit();
  CHECK(!is_open(pipes[0]) && is_open(pipes[1]));
  CHECK(!mapped(first) && !mapped(second) && !mapped(mine) && mapped(other));
  shim.unmap(other, 4096);
}

// A call that another thread makes for the isolate.
static void *wait_on_thread(void *fd) {
  call(0, CALL_AWAIT_SIGNAL, *(int *)fd, 0, 0, 0);
  return NULL;
}

// Returns when the call is running.
static pthread_t start_waiting(int *fd) {
  resources->calls = 1;
  pthread_t waiter = start(wait_on_thread, fd);
  while (__atomic_load_n(&resources->running, __ATOMIC_SEQ_CST) == 0) usleep(1000);
  return waiter;
}

static void with_a_call(void) {
  double memory = list(4096);
  pthread_t waiter = start_waiting(&pipes[0]), sender = start(send_later, NULL);
  CHECK(mapped(memory));
  on_thread_exit();
  CHECK(!mapped(memory));
  // Only now: the call had ended before.
  pthread_join(sender, NULL);
  pthread_join(waiter, NULL);
}

static void with_late_calls(void) {
  double memory = list(4096);
  own(pipes[0]);
  resources->calls = 2;
  on_thread_exit();
  CHECK(!mapped(memory) && !is_open(pipes[0]));
  // They find that there is nothing left, and do nothing.
  CHECK(mapped(AT(resources)));
  // A page of 64 KiB is kept whole.
  EQUAL(mapped(AT(resources) + RESOURCES_BYTES - 1), sysconf(_SC_PAGESIZE) == RESOURCES_BYTES);
  EQUAL(open_zero(), -ECANCELED);
  // The number of the descriptor belongs to another file now, which stays open.
  EQUAL(dup(pipes[1]), pipes[0]);
  EQUAL(call(0, IORING_OP_CLOSE, pipes[0], 0, 0, 0), -ECANCELED);
  CHECK(is_open(pipes[0]));
  EQUAL(resources->calls, 0);
  shim.unmap(AT(resources), RESOURCES_BYTES / 4);
}

static void with_a_stuck_call(void) {
  double memory = list(4096);
  own(pipes[0]);
  pthread_t waiter = start_waiting(&pipes[0]);
  on_thread_exit();
  CHECK(mapped(memory) && is_open(pipes[0]));
  put_byte('z');
  pthread_join(waiter, NULL);
  shim.unmap(memory, 4096);
  shim.unmap(AT(resources), RESOURCES_BYTES);
}

static void with_a_parked_call(void) {
  int notifier = resources->notifier = shim.call(CALL_EVENTFD, -1, 0, 0, 0, 0);
  double memory = list(4096);
  own(notifier);
  pthread_t waiter = start_waiting(&notifier);
  on_thread_exit();
  CHECK(!mapped(memory) && !is_open(notifier));
  pthread_join(waiter, NULL);
}

static void opening_and_closing(void) {
  EQUAL(shim.call(CALL_IS_MAIN_THREAD, -1, 0, 0, 0, 0), 0);
  int opened, fd = dup(pipes[1]);
  own(fd);
  resources->calls = 2;
  resources->results[1021] = 7;
  EQUAL(call(1021, IORING_OP_CLOSE, fd, 0, 0, 0), 0);
  EQUAL(resources->results[1021], 0);
  CHECK(!is_open(fd));
  // Its number belongs to another file now, which stays open.
  EQUAL(dup(pipes[1]), fd);
  CHECK(is_open(opened = open_zero()));
  EQUAL(resources->calls, 0);
  on_thread_exit();
  CHECK(!is_open(opened) && is_open(fd));
  close(fd);
}

// The place of a result while the caller starts the call.
static const int32_t HELD = INT32_MIN + 1;

static void *open_on_thread(void *unused) {
  CHECK(open_zero() >= 0);
  return unused;
}

static void with_a_held_call(void) {
  int32_t *result = &resources->results[0];
  for (int released = 1; released >= 0; released--) {
    __atomic_store_n(result, HELD, __ATOMIC_SEQ_CST);
    resources->calls = 1;
    pthread_t caller = start(open_on_thread, NULL);
    while (__atomic_load_n(&resources->running, __ATOMIC_SEQ_CST) == 0) usleep(1000);
    usleep(20000);
    EQUAL(__atomic_load_n(result, __ATOMIC_SEQ_CST), HELD);
    if (released) __atomic_store_n(result, INT32_MIN, __ATOMIC_SEQ_CST);
    else on_thread_exit();
    pthread_join(caller, NULL);
  }
}

static const unsigned ring_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

static struct io_uring *make_ring(void) {
  double memory = list(8192);
  struct io_uring *ring = (struct io_uring *)(uintptr_t)memory;
  if (!EQUAL(ring_init(8, ring, ring_flags), 0)) give_up("ring");
  resources->ring = memory;
  return ring;
}

static void with_a_ring(void) {
  struct io_uring *ring = make_ring();
  int fd = ring->ring_fd;
  double memory = list(4096);
  EQUAL(shim.prepare(ring, IORING_OP_OPENAT, 0, AT_FDCWD, AT("/dev/zero"), 0, 0, O_RDONLY, 0, 1), 0);
  EQUAL(shim.prepare(ring, IORING_OP_READ, 0, pipes[0], memory, 1, 0, 0, 0, 2), 0);
  int next = dup(pipes[1]);
  close(next);
  EQUAL(ring_submit(ring), 2);
  for (int tries = 0; tries < 2000 && !is_open(next); tries++) usleep(1000);
  CHECK(is_open(next));
  pthread_t sender = start(send_later, NULL);
  on_thread_exit();
  // What the ring opened was closed, too.
  CHECK(!is_open(fd) && !is_open(next));
  CHECK(!mapped(memory) && !mapped(AT(ring)));
  char byte;
  pthread_join(sender, NULL);
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  // The read of the ring had it, before its memory went.
  EQUAL(read(pipes[0], &byte, 1), -1);
}

static void with_a_stuck_ring(void) {
  struct io_uring *ring = make_ring();
  double memory = list(4096);
  EQUAL(shim.prepare(ring, IORING_OP_READ, 0, pipes[0], memory, 1, 0, 0, 0, 1), 0);
  EQUAL(ring_submit(ring), 1);
  on_thread_exit();
  CHECK(is_open(ring->ring_fd) && mapped(memory));
  // What was in flight may come now, and has its memory.
  put_byte('y');
  int32_t out[2];
  for (int tries = 0; tries < 2000 && shim.reap(ring, out, 1) == 0; tries++) {
    usleep(1000);
    syscall(SYS_io_uring_enter, ring->ring_fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
  }
  EQUAL(out[1], 1);
  EQUAL(*(char *)(uintptr_t)memory, 'y');
  close(ring->ring_fd);
}

void test_thread_end(void) {
  resources = (struct resources *)(uintptr_t)shim.map(RESOURCES_BYTES, 0);
  double kept = list(4096);
  // Nothing on the main thread: the process ends with it.
  on_thread_exit();
  CHECK(mapped(kept));
  shim.unmap(kept, 4096);
  shim.unmap(AT(resources), RESOURCES_BYTES);
  void (*const cases[])(void) = {without_ring, with_a_call, with_late_calls, with_a_stuck_call,
                                 with_a_parked_call, with_a_held_call, opening_and_closing};
  FOR_EACH(at, cases) on_a_thread(cases[at]);
}

void test_ring_end(void) {
  load_liburing();
  struct io_uring ring;
  if (ring_init(8, &ring, ring_flags) < 0) skip("there is no such ring here");
  ring_exit(&ring);
  on_a_thread(with_a_ring);
  on_a_thread(with_a_stuck_ring);
}
