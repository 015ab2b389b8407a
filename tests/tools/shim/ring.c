// dma_prepare and dma_reap. First on a ring in plain memory, where every word that the kernel shares is this test's own: so
// they are tried where the emulator has no io_uring, and in states that a kernel is seldom in. Then on a ring of this kernel,
// through the system's liburing.

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SUBMISSIONS 8u
#define COMPLETIONS 16u

static struct {
  unsigned sq_head, sq_tail, sq_mask, sq_entries, sq_flags;
  unsigned cq_head, cq_tail, cq_mask, cq_flags;
  struct io_uring_sqe sqes[SUBMISSIONS];
  struct io_uring_cqe cqes[COMPLETIONS];
  struct io_uring ring;
} fake;

// A ring that has done `count` of each before; counters of a ring wrap at 2^32.
static void reset(unsigned count) {
  memset(&fake, 0, sizeof fake);
  // What a used entry holds must not show through in the next one.
  memset(fake.sqes, 0xee, sizeof fake.sqes);
  fake.sq_head = fake.cq_head = fake.cq_tail = count;
  fake.sq_mask = SUBMISSIONS - 1;
  fake.sq_entries = SUBMISSIONS;
  fake.cq_mask = COMPLETIONS - 1;
  struct io_uring_sq *sq = &fake.ring.sq;
  sq->khead = &fake.sq_head;
  sq->kring_mask = &fake.sq_mask;
  sq->kring_entries = &fake.sq_entries;
  sq->kflags = &fake.sq_flags;
  sq->sqe_head = sq->sqe_tail = count;
  sq->sqes = fake.sqes;
  struct io_uring_cq *cq = &fake.ring.cq;
  cq->khead = &fake.cq_head;
  cq->ktail = &fake.cq_tail;
  cq->kring_mask = &fake.cq_mask;
  cq->kflags = &fake.cq_flags;
  cq->cqes = fake.cqes;
}

static int32_t prepare_write(uint32_t user_data) {
  return shim.prepare(&fake.ring, IORING_OP_WRITE, 0, 3, 4096, 512, 0, 0, 0, user_data);
}

static void check_fields(void) {
  reset(0);
  // Every number at its widest, and no two alike.
  struct io_uring_sqe expected = {
      .opcode = IORING_OP_WRITE_FIXED,
      .flags = IOSQE_ASYNC | IOSQE_IO_LINK,
      .fd = 2147483646,
      .addr = 140737488351232ull,
      .len = 0x7ffff000u,
      .off = 9007199254740991ull - 0x7ffff000ull,
      .rw_flags = (int)0x87654321u,
      .buf_index = 65534,
      .user_data = 0xfedcba98u,
  };
  EQUAL(shim.prepare(&fake.ring, expected.opcode, expected.flags, expected.fd, (double)expected.addr, expected.len,
                     (double)expected.off, 0x87654321u, expected.buf_index, 0xfedcba98u),
        0);
  EQUAL(memcmp(&fake.sqes[0], &expected, sizeof expected), 0);
  // A descriptor that stands for the working directory, as *at calls have it.
  EQUAL(shim.prepare(&fake.ring, IORING_OP_OPENAT, 0, -100, 4096, 0666, 0, 02000000, 0, 1), 0);
  EQUAL(fake.sqes[1].fd, -100);
  // The kernel's part is not written to.
  EQUAL(fake.sq_head + fake.sq_flags, 0);
}

static void check_full(unsigned start) {
  reset(start);
  for (unsigned at = 0; at < SUBMISSIONS; at++) EQUAL(prepare_write(at), 0);
  for (int twice = 0; twice < 2; twice++) EQUAL(prepare_write(99), -EBUSY);
  EQUAL(fake.ring.sq.sqe_tail, start + SUBMISSIONS);
  // The kernel takes three: as many can be prepared, in their place, and no more.
  fake.sq_head += 3;
  for (unsigned at = 0; at < 3; at++) EQUAL(prepare_write(100 + at), 0);
  EQUAL(prepare_write(99), -EBUSY);
  for (unsigned at = 0; at < SUBMISSIONS; at++) {
    EQUAL(fake.sqes[(start + at) % SUBMISSIONS].user_data, at < 3 ? 100 + at : at);
  }
}

static int32_t prepare(uint32_t opcode, uint32_t flags, double address, uint32_t length, double offset) {
  return shim.prepare(&fake.ring, opcode, flags, 3, address, length, offset, 0, 0, 0);
}

void test_prepare(void) {
  check_fields();
  check_full(0);
  check_full(0xfffffffcu);
  // dma_call shows which numbers are refused. What is refused takes no entry, and writes to none.
  reset(0);
  EQUAL(prepare(IORING_OP_WRITE, 0, 0, 512, 0), -EINVAL);
  EQUAL(prepare(IORING_OP_WRITE, 0, 4096, 512, NAN), -EINVAL);
  EQUAL(prepare(IORING_OP_WRITE + 256, 0, 4096, 512, 0), -EINVAL);
  EQUAL(prepare(IORING_OP_WRITE, 256, 4096, 512, 0), -EINVAL);
  EQUAL(fake.ring.sq.sqe_tail, 0);
  unsigned char untouched[sizeof fake.sqes];
  memset(untouched, 0xee, sizeof untouched);
  EQUAL(memcmp(fake.sqes, untouched, sizeof untouched), 0);
  // What moves no bytes may have none, and the largest that may be moved is taken.
  EQUAL(prepare(IORING_OP_FSYNC, 0, 0, 0, 0), 0);
  EQUAL(prepare(IORING_OP_WRITE, 255, 4096, 0x7ffff000u, MAX_EXACT - 0x7ffff000u), 0);
}

static void complete(uint64_t user_data, int32_t result) {
  struct io_uring_cqe *cqe = &fake.cqes[fake.cq_tail++ % COMPLETIONS];
  cqe->user_data = user_data;
  cqe->res = result;
  // The flags of a completion are not used here.
  cqe->flags = 0xffffffffu;
}

static void check_reap(unsigned start) {
  reset(start);
  int32_t out[2 * COMPLETIONS + 2];
  memset(out, 0x5a, sizeof out);
  EQUAL(shim.reap(&fake.ring, out, COMPLETIONS), 0);
  complete(1, 4096);
  complete(0xfffffffeu, -EIO);
  complete(0x7fffffff, 0);
  EQUAL(shim.reap(&fake.ring, out, 0), 0);
  // Two of three, and nothing behind them is written.
  EQUAL(shim.reap(&fake.ring, out, 2), 2);
  const int32_t expected[] = {1, 4096, -2, -EIO, 0x5a5a5a5a};
  EQUAL(memcmp(out, expected, sizeof expected), 0);
  EQUAL(fake.cq_head, start + 2);
  EQUAL(shim.reap(&fake.ring, out, COMPLETIONS), 1);
  EQUAL(out[0], 0x7fffffff);
  // A full queue, which goes round its end.
  for (unsigned at = 0; at < COMPLETIONS; at++) complete(1000 + at, (int32_t)at - 8);
  EQUAL(shim.reap(&fake.ring, out, COMPLETIONS), COMPLETIONS);
  for (int at = 0; at < (int)COMPLETIONS; at++) {
    EQUAL(out[2 * at], 1000 + at);
    EQUAL(out[2 * at + 1], at - 8);
  }
  EQUAL(out[2 * COMPLETIONS], 0x5a5a5a5a);
  EQUAL(fake.cq_head, start + 3 + COMPLETIONS);
  EQUAL(fake.cq_tail, start + 3 + COMPLETIONS);
}

// Where the kernel holds completions back they are requested, here of a descriptor that is none, and the eventfd is not
// muted any more. That nothing comes is found out, though the flag stays set.
static void check_held(unsigned flags, unsigned *cq_flags) {
  int32_t out[2];
  reset(0);
  fake.ring.ring_fd = -1;
  fake.ring.cq.kflags = cq_flags;
  fake.sq_flags = flags;
  fake.sq_head = 100;
  EQUAL(shim.reap(&fake.ring, out, 1), 0);
  complete(1, 0);
  EQUAL(shim.reap(&fake.ring, out, 1), 1);
  EQUAL(fake.cq_flags, 0);
  // The flags are the kernel's to clear.
  EQUAL(fake.sq_flags, flags);
}

void test_reap(void) {
  check_reap(7);
  check_reap(0xfffffff0u);
  check_held(IORING_SQ_CQ_OVERFLOW, &fake.cq_flags);
  check_held(IORING_SQ_TASKRUN, &fake.cq_flags);
  // Kernels before 5.8 have no flags there.
  check_held(IORING_SQ_CQ_OVERFLOW | IORING_SQ_NEED_WAKEUP, NULL);
}

// ---- a ring of this kernel ---------------------------------------------------------------------------------------

#define ENTRIES 8

static struct io_uring ring;
static int pipes[2];

// Submits an operation that ends when the pipe has a byte.
static void submit_poll(void) {
  int32_t out[2];
  EQUAL(shim.prepare(&ring, IORING_OP_POLL_ADD, 0, pipes[0], 0, 0, 0, POLLIN, 0, 7), 0);
  EQUAL(ring_submit(&ring), 1);
  EQUAL(shim.reap(&ring, out, 1), 0);
}

static void put_byte(void) { CHECK(write(pipes[1], "x", 1) == 1); }

static void take_byte(void) {
  char byte;
  int32_t out[2];
  EQUAL(shim.reap(&ring, out, 1), 1);
  EQUAL(out[0], 7);
  EQUAL(read(pipes[0], &byte, 1), 1);
}

// It ends with the time, or with a completion.
static void check_wait(void) {
  submit_poll();
  int32_t waited = shim.call(CALL_WAIT_RING, -1, AT(&ring), 20, 0, 0);
  CHECK(waited == -ETIME || waited == 0);
  put_byte();
  EQUAL(shim.call(CALL_WAIT_RING, -1, AT(&ring), 5000, 0, 0), 0);
  take_byte();
}

// With deferred task work the kernel signals that there is work, and again when the work posts its completion. On x86_64
// the second signal, within the request for it, is muted.
static void check_mute(void) {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  EQUAL(ring_watch(&ring, fd), 0);
  uint64_t signals = 0;
  for (int round = 0; round < 3; round++) {
    submit_poll();
    put_byte();
    // Kernel 6.12.117 gives this signal late, or not at all.
    if (read(fd, &signals, sizeof signals) < 0) break;
    take_byte();
#if defined(__x86_64__)
    EQUAL(read(fd, &signals, sizeof signals), -1);
#else
    EQUAL(read(fd, &signals, sizeof signals), sizeof signals);
#endif
  }
  close(fd);
}

void test_ring(void) {
  load_liburing();
  int result = ring_init(ENTRIES, &ring, 0);
  if (result == -EPERM || result == -ENOSYS) skip("io_uring is forbidden here");
  if (!EQUAL(result, 0)) return;
  if (pipe2(pipes, O_CLOEXEC)) give_up("pipe2");
  check_wait();
  ring_exit(&ring);
  // Kernels before 6.1 have no such ring.
  const unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  if (ring_init(ENTRIES, &ring, flags) == -EINVAL) return;
  check_mute();
  ring_exit(&ring);
}
