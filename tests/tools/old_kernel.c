// A library with the part of liburing's interface that the module uses. It passes all calls on to the real
// liburing, and makes the kernel look older than it is. DMA_LIBURING names it, and these variables the
// missing features:
//
//   OLD_KERNEL_LACKS=55,17     numbers of operations: the probe does not list them, and they end with EINVAL
//   OLD_KERNEL_LIES=1          the probe lists all operations all the same
//   OLD_KERNEL_SETUP=12288     flags of io_uring_setup, in one number: with any of them it fails with EINVAL
//   OLD_KERNEL_PROBE=ERRNO     the probe of operations fails
//   OLD_KERNEL_SPARSE=ERRNO    the table of buffers cannot be registered
//   OLD_KERNEL_UPDATE=ERRNO    buffers cannot be registered
//   OLD_KERNEL_EVENTFD=ERRNO   an eventfd cannot be registered
//   OLD_KERNEL_SUBMIT=ERRNO    submissions are refused, from the OLD_KERNEL_SUBMIT_FROMth time on (default 1), so many
//                              times: OLD_KERNEL_SUBMIT_TIMES (default for ever)
//   OLD_KERNEL_STALE=1         the flag for waiting work stays set without work
//
// The last one does not depend on the version, and is rare otherwise. The kernel adds work to the list of a ring and then
// sets IORING_SQ_TASKRUN (io_req_local_work_add in io_uring/io_uring.c): if the list is emptied in between, the flag stays.
//
// With OLD_LIBURING defined it has only what liburing 2.0 had.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdlib.h>

// The beginning of liburing's struct io_uring, the same from 2.0 on.
struct ring {
  unsigned *khead, *ktail, *kring_mask, *kring_entries, *kflags, *kdropped, *array;
  struct io_uring_sqe *sqes;
  unsigned sqe_head, sqe_tail;
};

enum { NO_OPERATION = 250 }; // no kernel has so many

enum told { REFUSED, SUBMITTED_ALL_THE_SAME, SUBMISSIONS, TOLD };
static int told[TOLD];

// How often something was refused; how many operations came that the probe had not listed.
int old_kernel_told(int what) { return what >= 0 && what < TOLD ? told[what] : -1; }

static void *real(const char *name) {
  static void *library;
  if (!library) library = dlopen("liburing.so.2", RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, name) : 0;
  if (!function) abort();
  return function;
}

static long setting(const char *name, long otherwise) {
  const char *value = getenv(name);
  return value && *value ? atol(value) : otherwise;
}

static int refuse(int error) {
  told[REFUSED]++;
  return -error;
}

static int lacks(int operation) {
  const char *list = getenv("OLD_KERNEL_LACKS");
  while (list && *list) {
    char *end;
    if (strtol(list, &end, 10) == operation) return 1;
    list = *end == ',' ? end + 1 : 0;
  }
  return 0;
}

// Whether the submission of this number is refused.
static int refuses(int number) {
  long later = number - setting("OLD_KERNEL_SUBMIT_FROM", 1);
  return setting("OLD_KERNEL_SUBMIT", 0) && later >= 0 && later < setting("OLD_KERNEL_SUBMIT_TIMES", LONG_MAX);
}

// liburing's own function of a name.
#define REAL(name) ((typeof(&name))real(#name))

int io_uring_queue_init_params(unsigned entries, struct ring *ring, struct io_uring_params *params) {
  if (params->flags & (unsigned)setting("OLD_KERNEL_SETUP", 0)) return refuse(EINVAL);
  return REAL(io_uring_queue_init_params)(entries, ring, params);
}

void io_uring_queue_exit(struct ring *ring) { REAL(io_uring_queue_exit)(ring); }

int io_uring_register_eventfd(struct ring *ring, int fd) {
  int error = (int)setting("OLD_KERNEL_EVENTFD", 0);
  return error ? refuse(error) : REAL(io_uring_register_eventfd)(ring, fd);
}

int io_uring_submit(struct ring *ring) {
  if (refuses(++told[SUBMISSIONS])) return refuse((int)setting("OLD_KERNEL_SUBMIT", 0));
  for (unsigned at = ring->sqe_head; at != ring->sqe_tail; at++) {
    struct io_uring_sqe *entry = &ring->sqes[at & *ring->kring_mask];
    if (!lacks(entry->opcode)) continue;
    told[SUBMITTED_ALL_THE_SAME]++;
    entry->opcode = NO_OPERATION;
  }
  int result = REAL(io_uring_submit)(ring);
  if (setting("OLD_KERNEL_STALE", 0)) {
    __atomic_fetch_or(ring->kflags, IORING_SQ_TASKRUN, __ATOMIC_SEQ_CST);
    told[REFUSED]++;
  }
  return result;
}

int io_uring_register_probe(struct ring *ring, struct io_uring_probe *probe, unsigned count) {
  int error = (int)setting("OLD_KERNEL_PROBE", 0);
  if (error) return refuse(error);
  int result = REAL(io_uring_register_probe)(ring, probe, count);
  for (int at = 0; result >= 0 && at < probe->ops_len && !setting("OLD_KERNEL_LIES", 0); at++) {
    if (lacks(probe->ops[at].op)) probe->ops[at].flags &= (uint16_t)~IO_URING_OP_SUPPORTED;
  }
  return result;
}

#ifndef OLD_LIBURING

int io_uring_register_buffers_sparse(struct ring *ring, unsigned count) {
  int error = (int)setting("OLD_KERNEL_SPARSE", 0);
  return error ? refuse(error) : REAL(io_uring_register_buffers_sparse)(ring, count);
}

int io_uring_register_buffers_update_tag(struct ring *ring, unsigned at, const void *vectors, const void *tags,
                                         unsigned count) {
  int error = (int)setting("OLD_KERNEL_UPDATE", 0);
  return error ? refuse(error) : REAL(io_uring_register_buffers_update_tag)(ring, at, vectors, tags, count);
}

#endif
