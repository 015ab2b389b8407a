// dma_prepare and dma_reap on a ring in plain memory, where every word that the kernel shares is this
// test's own: so they are tried where the emulator has no io_uring, and in states that a kernel is seldom in.

#include "check.h"

#include <errno.h>
#include <string.h>

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
  double address = 140737488351232.0, offset = MAX_EXACT - 0x7ffff000u;
  EQUAL(shim.prepare(&fake.ring, IORING_OP_WRITE_FIXED, IOSQE_ASYNC | IOSQE_IO_LINK, 2147483646, address,
                   0x7ffff000u, offset, 0x87654321u, 65534, 0xfedcba98u),
        0);
  EQUAL(fake.ring.sq.sqe_tail, 1);
  struct io_uring_sqe expected;
  memset(&expected, 0, sizeof expected);
  expected.opcode = IORING_OP_WRITE_FIXED;
  expected.flags = IOSQE_ASYNC | IOSQE_IO_LINK;
  expected.fd = 2147483646;
  expected.addr = 140737488351232ull;
  expected.len = 0x7ffff000u;
  expected.off = 9007199254740991ull - 0x7ffff000ull;
  expected.rw_flags = (int)0x87654321u;
  expected.buf_index = 65534;
  expected.user_data = 0xfedcba98u;
  EQUAL(memcmp(&fake.sqes[0], &expected, sizeof expected), 0);
  EQUAL(fake.sqes[0].user_data, 0xfedcba98u);

  // A descriptor that stands for the working directory, as *at calls have it.
  EQUAL(shim.prepare(&fake.ring, IORING_OP_OPENAT, 0, -100, 4096, 0666, 0, 02000000, 0, 1), 0);
  EQUAL(fake.sqes[1].fd, -100);
  EQUAL(fake.sqes[1].len, 0666);
  EQUAL(fake.sqes[1].open_flags, 02000000);
  // The kernel's part is not written to.
  EQUAL(fake.sq_head, 0);
  EQUAL(fake.sq_flags, 0);
}

static void check_full(unsigned start) {
  reset(start);
  for (unsigned at = 0; at < SUBMISSIONS; at++) EQUAL(prepare_write(at), 0);
  EQUAL(fake.ring.sq.sqe_tail, start + SUBMISSIONS);
  for (int twice = 0; twice < 2; twice++) EQUAL(prepare_write(99), -EBUSY);
  EQUAL(fake.ring.sq.sqe_tail, start + SUBMISSIONS);
  for (unsigned at = 0; at < SUBMISSIONS; at++) {
    EQUAL(fake.sqes[(start + at) % SUBMISSIONS].user_data, at);
  }
  // The kernel takes three: as many can be prepared, in their place, and no more.
  fake.sq_head += 3;
  for (unsigned at = 0; at < 3; at++) EQUAL(prepare_write(100 + at), 0);
  EQUAL(prepare_write(99), -EBUSY);
  for (unsigned at = 0; at < 3; at++) EQUAL(fake.sqes[(start + at) % SUBMISSIONS].user_data, 100 + at);
  EQUAL(fake.sqes[(start + 3) % SUBMISSIONS].user_data, 3);
}

static int32_t prepare(uint32_t opcode, uint32_t flags, double address, uint32_t length, double offset) {
  return shim.prepare(&fake.ring, opcode, flags, 3, address, length, offset, 0, 0, 0);
}

void test_prepare(void) {
  check_fields();
  check_full(0);
  check_full(5);
  check_full(0xfffffffcu);

  reset(0);
  FOR_EACH(at, no_number) {
    EQUAL(prepare(IORING_OP_WRITE, 0, no_number[at], 512, 0), -EINVAL);
    EQUAL(prepare(IORING_OP_WRITE, 0, 4096, 512, no_number[at]), -EINVAL);
    EQUAL(prepare(IORING_OP_FSYNC, 0, no_number[at], 0, 0), -EINVAL);
    EQUAL(prepare(IORING_OP_FSYNC, 0, 0, 0, no_number[at]), -EINVAL);
  }
  FOR_EACH(at, movers) {
    EQUAL(prepare(movers[at], 0, 0, 512, 0), -EINVAL);
    EQUAL(prepare(movers[at], 0, 4096, 0, 0), -EINVAL);
    EQUAL(prepare(movers[at], 0, 4096, 0x7ffff001u, 0), -EINVAL);
    EQUAL(prepare(movers[at], 0, 4096, 0xffffffffu, 0), -EINVAL);
    EQUAL(prepare(movers[at], 0, 4096, 512, MAX_EXACT - 511), -EINVAL);
  }
  EQUAL(prepare(256, 0, 4096, 512, 0), -EINVAL);
  EQUAL(prepare(IORING_OP_WRITE + 256, 0, 4096, 512, 0), -EINVAL);
  EQUAL(prepare(IORING_OP_WRITE, 256, 4096, 512, 0), -EINVAL);
  // What is refused takes no entry, and writes to none.
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
  EQUAL(out[0], 0x5a5a5a5a);
  complete(1, 4096);
  complete(0xfffffffeu, -EIO);
  complete(0x7fffffff, 0);
  // Two of three, and nothing behind them is written.
  EQUAL(shim.reap(&fake.ring, out, 2), 2);
  EQUAL(out[0], 1);
  EQUAL(out[1], 4096);
  EQUAL((uint32_t)out[2], 0xfffffffeu);
  EQUAL(out[3], -EIO);
  EQUAL(out[4], 0x5a5a5a5a);
  EQUAL(fake.cq_head, start + 2);
  EQUAL(shim.reap(&fake.ring, out, 0), 0);
  EQUAL(fake.cq_head, start + 2);
  EQUAL(shim.reap(&fake.ring, out, COMPLETIONS), 1);
  EQUAL(out[0], 0x7fffffff);
  EQUAL(out[1], 0);
  EQUAL(fake.cq_head, fake.cq_tail);
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
  check_reap(0);
  check_reap(7);
  check_reap(0xfffffffeu);
  check_reap(0xfffffff0u);
  check_held(IORING_SQ_CQ_OVERFLOW, &fake.cq_flags);
  check_held(IORING_SQ_TASKRUN, &fake.cq_flags);
  // Kernels before 5.8 have no flags there.
  check_held(IORING_SQ_CQ_OVERFLOW | IORING_SQ_NEED_WAKEUP, NULL);
}
