// The same functions on a ring of this kernel, through the system's liburing: what the module's own tests cannot bring
// about.

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ENTRIES 8

static int (*init)(unsigned entries, struct io_uring *ring, unsigned flags);
static int (*submit)(struct io_uring *ring);
static void (*finish)(struct io_uring *ring);
static struct io_uring ring;

static int32_t nop(uint32_t user_data) {
  return shim.prepare(&ring, IORING_OP_NOP, 0, -1, 0, 0, 0, 0, 0, user_data);
}

// Waits for `count` completions, which come without a wait where a submission does them.
static uint32_t reap_all(int32_t *out, uint32_t count) {
  uint32_t got = 0;
  for (int tries = 0; tries < 2000 && got < count; tries++) {
    got += (uint32_t)shim.reap(&ring, out + 2 * got, count - got);
    if (got < count) usleep(1000);
  }
  return got;
}

// It ends with the time, or with a completion.
static void check_wait(void) {
  int32_t out[2];
  int pipes[2];
  double memory = shim.map(4096, 0);
  if (pipe2(pipes, O_CLOEXEC)) give_up("pipe2");
  EQUAL(shim.prepare(&ring, IORING_OP_READ, 0, pipes[0], memory, 1, 0, 0, 0, 7), 0);
  EQUAL(submit(&ring), 1);
  int32_t waited = shim.call(CALL_WAIT_RING, -1, AT(&ring), 20, 0, 0);
  CHECK(waited == -ETIME || waited == 0);
  EQUAL(shim.reap(&ring, out, 1), 0);
  CHECK(write(pipes[1], "x", 1) == 1);
  EQUAL(shim.call(CALL_WAIT_RING, -1, AT(&ring), 5000, 0, 0), 0);
  EQUAL(shim.reap(&ring, out, 1), 1);
  EQUAL(out[0], 7);
  EQUAL(out[1], 1);
  close(pipes[0]);
  close(pipes[1]);
  shim.unmap(memory, 4096);
}

static void check_overflow(void) {
  int32_t out[2 * 4 * ENTRIES];
  unsigned total = 0;
  // The completion queue has twice the entries; what comes after them the kernel keeps to itself.
  for (int round = 0; round < 4; round++) {
    for (int at = 0; at < ENTRIES; at++) EQUAL(nop(total++), 0);
    EQUAL(submit(&ring), ENTRIES);
  }
  EQUAL(reap_all(out, total), total);
  for (unsigned at = 0; at < total; at++) EQUAL(out[2 * at], at);
}

// With deferred task work the kernel signals that there is work, and again when the work posts its completion. On x86_64
// the second signal, within the request for it, is muted.
static void check_mute(void) {
  int (*watch)(struct io_uring *, int) = of_liburing("io_uring_register_eventfd");
  const unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  int result = init(ENTRIES, &ring, flags);
  if (result == -EINVAL) return; // younger than 6.1
  if (!EQUAL(result, 0)) return;
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  EQUAL(watch(&ring, fd), 0);
  int32_t out[2];
  int pipes[2];
  char byte;
  uint64_t signals = 0;
  if (pipe2(pipes, O_CLOEXEC)) give_up("pipe2");
  for (int round = 0; round < 3; round++) {
    EQUAL(shim.prepare(&ring, IORING_OP_POLL_ADD, 0, pipes[0], 0, 0, 0, POLLIN, 0, 7), 0);
    EQUAL(submit(&ring), 1);
    EQUAL(shim.reap(&ring, out, 1), 0);
    CHECK(write(pipes[1], "x", 1) == 1);
    EQUAL(read(fd, &signals, sizeof signals), sizeof signals);
    EQUAL(shim.reap(&ring, out, 1), 1);
    EQUAL(out[0], 7);
    EQUAL(read(pipes[0], &byte, 1), 1);
#if defined(__x86_64__)
    EQUAL(read(fd, &signals, sizeof signals), -1);
#else
    EQUAL(read(fd, &signals, sizeof signals), sizeof signals);
#endif
  }
  close(pipes[0]);
  close(pipes[1]);
  close(fd);
  finish(&ring);
}

void test_ring(void) {
  init = of_liburing("io_uring_queue_init");
  submit = of_liburing("io_uring_submit");
  finish = of_liburing("io_uring_queue_exit");
  int result = init(ENTRIES, &ring, 0);
  if (result == -EPERM || result == -ENOSYS) skip("io_uring is forbidden here");
  if (!EQUAL(result, 0)) return;
  check_wait();
  check_overflow();
  finish(&ring);
  check_mute();
}
