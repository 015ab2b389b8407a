// Functions that JavaScript cannot have otherwise: aligned mappings, the parts of liburing that exist only as
// inline functions of its header, blocking system calls that return -errno, and the release of resources when
// the isolate has ended.
//
// This file has no state and no policy. It is linked against nothing (raw system calls, no libc), so that one
// binary loads under every libc. TypeScript calls liburing's exported functions directly.
//
// All arguments are numbers: addresses and file offsets are f64 (exact to 2^53), lengths are u32, and results are
// i32 with -errno. TypeScript checks every number first. The checks here repeat that, because a hot FFI call
// truncates silently.

#define _GNU_SOURCE // O_PATH, AT_EMPTY_PATH

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <liburing.h>

#define EXPORT __attribute__((visibility("default")))

// Incremented when a signature or the meaning of an argument changes. ffi/shim.ts expects the same number.
#define SHIM_ABI 20

// `dma_call` also takes io_uring's own opcodes, so these are above them.
enum {
  CALL_FTRUNCATE = 55, // IORING_OP_FTRUNCATE, younger than the headers this may be compiled with
  CALL_READLINK = 256,
  CALL_EVENTFD,
  CALL_FLOCK,
  CALL_COPY_RANGE,
  CALL_STATFS,
  CALL_AWAIT_SIGNAL,
  CALL_UNAME,
  CALL_SIGNAL,
  CALL_OPENAT2,
  CALL_FCNTL,
  CALL_IS_MAIN_THREAD,
  CALL_WAIT_RING,
  CALL_IDENTIFY,
  CALL_STATX_CACHED,
  CALL_CLOSE_SMALL,
  CALL_RESERVE,
  CALL_REOPEN,
};

#define MAX_EXACT 9007199254740991.0 // 2^53 - 1: the largest integer a JavaScript number holds exactly
#define MAX_RW 0x7ffff000u           // the most one read or write moves (MAX_RW_COUNT in the kernel)
#define HUGE_PAGE (2ul << 20)

// ---- system calls ---------------------------------------------------------------------------------------------

static long call6(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
#else
#error "no system call convention for this architecture"
#endif
}

#define CALL(number, a, b, c, d, e) \
  call6((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

// ---- checks ---------------------------------------------------------------------------------------------------

static int whole(double value) { return value >= 0 && value <= MAX_EXACT && (double)(int64_t)value == value; }

static int moves_bytes(uint32_t opcode) {
  return opcode == IORING_OP_READ || opcode == IORING_OP_WRITE || opcode == IORING_OP_READ_FIXED ||
         opcode == IORING_OP_WRITE_FIXED;
}

// Checks the arguments of an operation, for the ring and for a blocking call. To io_uring an offset of -1 means
// "the current position", so negative numbers are refused.
static int acceptable(uint32_t opcode, double address, uint32_t length, double offset) {
  if (!whole(address) || !whole(offset)) return 0;
  if (!moves_bytes(opcode)) return 1;
  return address != 0 && length != 0 && length <= MAX_RW && offset <= MAX_EXACT - length;
}

// ---- resources of an isolate ----------------------------------------------------------------------------------

// ffi/thread_exit.ts has the same layout.
struct resources {
  double ring;      // the address of its struct io_uring, or 0
  double mappings;  // the number of mappings in the list
  int32_t calls;    // calls on other threads that have not ended; TypeScript increments it at the start of a call
  int32_t running;  // those of them that run on their thread
  int32_t closed;   // the isolate's thread has ended: no further call may begin
  int32_t notifier; // an eventfd that a call may wait for, or -1
  uint8_t descriptors[8192]; // one bit for each open descriptor
  int32_t results[1022]; // of calls on other threads, for callers that cannot wait for the event loop; or HELD
  struct {
    double address, length;
  } mapping[3000];
};

#define RESOURCES_BYTES 65536
#define KEPT_BYTES 16384 // contains the counts; a multiple of the page size, unless that is 64 KiB
_Static_assert(sizeof(struct resources) <= RESOURCES_BYTES, "ffi/thread_exit.ts maps no more");

static int tracked(int32_t fd) { return fd >= 0 && fd < 8 * (int)sizeof((struct resources *)0)->descriptors; }

static void track(struct resources *resources, int32_t fd) {
  if (tracked(fd)) __atomic_or_fetch(&resources->descriptors[fd / 8], (uint8_t)(1 << fd % 8), __ATOMIC_RELAXED);
}

// Called within the call that closes the descriptor: an isolate can be ended before that call, but not during it.
static void untrack(struct resources *resources, int32_t fd) {
  if (tracked(fd)) __atomic_and_fetch(&resources->descriptors[fd / 8], (uint8_t)~(1 << fd % 8), __ATOMIC_RELAXED);
}

// ---- memory ---------------------------------------------------------------------------------------------------

EXPORT uint32_t dma_abi(void) { return SHIM_ABI; }

// Maps zeroed, page-aligned memory that child processes do not inherit. With `huge` it is aligned to 2 MiB, and
// the kernel may use huge pages: the first touch of 8 MiB is then three times as fast. Returns the address, or
// -errno.
EXPORT double dma_map(double length, uint32_t huge) {
  if (!whole(length) || length == 0) return -EINVAL;
  unsigned long size = (unsigned long)length;
  unsigned long spare = huge ? HUGE_PAGE : 0;
  long address = call6(SYS_mmap, 0, (long)(size + spare), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address < 0 && address > -4096) return (double)address;
  unsigned long start = (unsigned long)address;
  if (huge) {
    unsigned long aligned = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    unsigned long after = start + spare - aligned;
    if (aligned > start) CALL(SYS_munmap, start, aligned - start, 0, 0, 0);
    if (after > 0) CALL(SYS_munmap, aligned + size, after, 0, 0, 0);
    start = aligned;
    CALL(SYS_madvise, start, size, MADV_HUGEPAGE, 0, 0);
  }
  CALL(SYS_madvise, start, size, MADV_DONTFORK, 0, 0);
  return (double)start;
}

EXPORT int32_t dma_unmap(double address, double length) {
  if (!whole(address) || !whole(length) || address == 0 || length == 0) return -EINVAL;
  return (int32_t)CALL(SYS_munmap, (unsigned long)address, (unsigned long)length, 0, 0, 0);
}

// ---- the ring: what liburing has only inline -----------------------------------------------------------------

// The next free entry of the submission queue, or NULL. Like liburing's function, but it reads size and mask from
// the kernel's memory: in liburing 2.0 to 2.2, which have the same soname, the newer fields were padding.
static struct io_uring_sqe *next_entry(struct io_uring *ring) {
  struct io_uring_sq *sq = &ring->sq;
  unsigned next = sq->sqe_tail + 1;
  if (next - io_uring_smp_load_acquire(sq->khead) > *sq->kring_entries) return NULL;
  struct io_uring_sqe *sqe = &sq->sqes[sq->sqe_tail & *sq->kring_mask];
  sq->sqe_tail = next;
  return sqe;
}

// Marks in user_data an operation whose result is a descriptor. JavaScript uses the 32 bits below.
#define OPENS (1ull << 32)

// Prepares one entry of the submission queue. Returns 0, or -EBUSY when the queue is full, or -EINVAL.
EXPORT int32_t dma_prepare(struct io_uring *ring, uint32_t opcode, uint32_t flags, int32_t fd, double address,
                           uint32_t length, double offset, uint32_t op_flags, uint32_t buffer_index,
                           uint32_t user_data) {
  if (opcode > 255 || flags > 255 || !acceptable(opcode, address, length, offset)) return -EINVAL;
  struct io_uring_sqe *sqe = next_entry(ring);
  if (!sqe) return -EBUSY;
  io_uring_prep_rw((int)opcode, sqe, fd, (void *)(uintptr_t)address, length, (uint64_t)offset);
  sqe->flags = (uint8_t)flags;
  sqe->rw_flags = (int)op_flags; // one union with open_flags, fsync_flags and statx_flags
  sqe->buf_index = (uint16_t)buffer_index;
  sqe->user_data = user_data | (opcode == IORING_OP_OPENAT ? OPENS : 0);
  return 0;
}

// Switches the signals of a ring's eventfd off or on. Only on x86_64: on other processors the kernel's "set the
// flag, then check whether to signal" is not ordered, and a signal could be lost.
static void mute_eventfd(struct io_uring *ring, int muted) {
#if defined(__x86_64__)
  if (!ring->cq.kflags) return;
  IO_URING_WRITE_ONCE(*ring->cq.kflags, muted ? IORING_CQ_EVENTFD_DISABLED : 0);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#else
  (void)ring, (void)muted;
#endif
}

// Requests the completions that the kernel does not post by itself.
static void get_events(const struct io_uring *ring) {
  CALL(SYS_io_uring_enter, ring->ring_fd, 0, 0, IORING_ENTER_GETEVENTS, 0);
}

static uint32_t move_completions(struct io_uring_cq *cq, int32_t *out, uint32_t most) {
  unsigned head = *cq->khead, tail = io_uring_smp_load_acquire(cq->ktail);
  uint32_t count = 0;
  for (; head != tail && count < most; head++, count++) {
    const struct io_uring_cqe *cqe = &cq->cqes[head & *cq->kring_mask];
    out[2 * count] = (int32_t)cqe->user_data;
    out[2 * count + 1] = cqe->res;
  }
  io_uring_smp_store_release(cq->khead, head);
  return count;
}

// Moves up to `most` completions into `out` as pairs (user_data, result). Returns their number. Completions that the
// kernel holds back are requested first: overflowed ones, or, on a ring with deferred task work, finished ones.
EXPORT int32_t dma_reap(struct io_uring *ring, int32_t *out, uint32_t most) {
  int held = IO_URING_READ_ONCE(*ring->sq.kflags) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
  if (held) {
    // The caller needs no signal for what it requests.
    mute_eventfd(ring, 1);
    get_events(ring);
    mute_eventfd(ring, 0);
  }
  uint32_t count = move_completions(&ring->cq, out, most);
  if (!held) return (int32_t)count;
  // Operations that finished while the eventfd was muted sent no signal. The flag may stay set when nothing is held:
  // the kernel sets it after it adds to its list, which may be empty again by then. The operations in flight bound
  // how often the kernel is asked: it does at least 16 pieces of work at a time (20 since 6.13, all of them before).
  int32_t in_flight = (int32_t)(*ring->sq.khead - *ring->cq.ktail);
  for (; count == 0 && in_flight > 0; in_flight -= 16) {
    get_events(ring);
    count = move_completions(&ring->cq, out, most);
  }
  return (int32_t)count;
}

// ---- threads --------------------------------------------------------------------------------------------------

// Whether this is the main thread, with which the process ends.
static int is_main_thread(void) {
  return CALL(SYS_gettid, 0, 0, 0, 0, 0) == CALL(SYS_getpid, 0, 0, 0, 0, 0);
}

// Waits for a signal of an eventfd, and takes it.
static long await_signal(int32_t fd) {
  uint64_t count;
  return CALL(SYS_read, fd, &count, sizeof count, 0, 0);
}

static long send_signal(int32_t fd) {
  const uint64_t one = 1;
  return CALL(SYS_write, fd, &one, sizeof one, 0, 0);
}

// The pause between two polls.
static const struct __kernel_timespec MILLISECOND = {.tv_nsec = 1000000};

// Waits until a ring has a completion, or for that time. Returns 0, -ETIME or another -errno.
static long wait_completion(const struct io_uring *ring, struct __kernel_timespec timeout) {
  struct io_uring_getevents_arg argument = {.ts = (uintptr_t)&timeout};
  return call6(SYS_io_uring_enter, ring->ring_fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
               (long)&argument, sizeof argument);
}

// The same in milliseconds. A kernel that cannot wait with a timeout polls.
static long wait_ring(const struct io_uring *ring, uint32_t milliseconds) {
  struct __kernel_timespec timeout = {milliseconds / 1000, milliseconds % 1000 * 1000000ll};
  long result = wait_completion(ring, timeout);
  return result == -EINVAL ? CALL(SYS_nanosleep, &MILLISECOND, 0, 0, 0, 0) : result;
}

// The number of a mount, and a file handle in it: name_to_handle_at(2).
struct identity {
  int32_t mount;
  uint32_t bytes;
  int32_t type;
  uint8_t handle[128];
};

// Identifies the file of a descriptor, or the directory at a path. With a path it returns -EAGAIN if the lookup would
// wait, and -ELOOP at a link in /proc, which may lead to another process's mounts. For a descriptor the kernel asks no
// server, except perhaps 9p with a cache.
static long identify(int32_t fd, uintptr_t path, struct identity *found) {
  const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                               .resolve = RESOLVE_CACHED | RESOLVE_NO_MAGICLINKS};
  long opened = path ? CALL(SYS_openat2, fd, path, &how, sizeof how, 0) : fd;
  if (opened < 0) return opened;
  *found = (struct identity){.bytes = sizeof found->handle};
  long result = CALL(SYS_name_to_handle_at, opened, "", &found->bytes, &found->mount, AT_EMPTY_PATH);
  if (path) CALL(SYS_close, opened, 0, 0, 0, 0);
  return result;
}

// statx(2) of a name, from the kernel's memory. Returns -EAGAIN if it would wait.
static long cached_statx(int32_t directory, uintptr_t name, uint32_t mask, uint64_t result, uint32_t flags) {
  uint64_t nofollow = flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
  const struct open_how how = {.flags = O_PATH | O_CLOEXEC | nofollow, .resolve = RESOLVE_CACHED};
  long fd = CALL(SYS_openat2, directory, name, &how, sizeof how, 0);
  if (fd < 0) return fd;
  long status = CALL(SYS_statx, fd, "", AT_EMPTY_PATH | flags, mask, result);
  CALL(SYS_close, fd, 0, 0, 0, 0);
  return status;
}

// Closes a file of at most `longest` bytes that has a name, which frees only a few blocks. Returns -EAGAIN for another
// file, which stays open: the last close of a file without a name frees all its blocks.
static long close_small(int32_t fd, uint32_t longest) {
  struct statx found;
  long status = CALL(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK | STATX_SIZE, &found);
  if (status < 0 || found.stx_nlink == 0 || found.stx_size > longest) return -EAGAIN;
  return CALL(SYS_close, fd, 0, 0, 0, 0);
}

// Replaces a descriptor by one of the same file, at its path in /proc, that only reads.
static long reopen(int32_t fd, uintptr_t path) {
  long opened = CALL(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0);
  if (opened < 0) return opened;
  long result = CALL(SYS_dup3, opened, fd, O_CLOEXEC, 0, 0);
  CALL(SYS_close, opened, 0, 0, 0, 0);
  return result;
}

// Reserves space. If the file may grow no further (RLIMIT_FSIZE), this returns an error, and the program gets no signal,
// which would end it: a writer reserves more than the program will write.
static long allocate(int32_t fd, uint32_t mode, uint64_t offset, uint64_t length) {
  static const struct timespec NO_TIME = {0, 0};
  const uint64_t limit = 1ul << (SIGXFSZ - 1);
  uint64_t before = 0;
  CALL(SYS_rt_sigprocmask, SIG_BLOCK, &limit, &before, sizeof(limit), 0);
  long result = CALL(SYS_fallocate, fd, mode, offset, length, 0);
  if (result == -EFBIG) CALL(SYS_rt_sigtimedwait, &limit, 0, &NO_TIME, sizeof(limit), 0);
  CALL(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, sizeof(before), 0);
  return result;
}

// Whether a reservation needs more than the free space divided by `parts`. With one part: on ext4, more than this user
// may take; elsewhere more than the disk has, because xfs counts the blocks of removed files as free later, and
// fallocate(2) waits for them. A file system without a limit reports no blocks.
static int lacks_room(int32_t fd, uint64_t offset, uint64_t length, uint32_t parts) {
  struct statx file;
  struct statfs all;
  if (parts == 0) return 0;
  long status = CALL(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BLOCKS, &file);
  if (status < 0 || CALL(SYS_fstatfs, fd, &all, 0, 0, 0) < 0 || all.f_blocks == 0) return 0;
  // At least this much, because the file's blocks may be anywhere.
  uint64_t end = offset + length, taken = 512 * file.stx_blocks;
  uint64_t needed = end > taken ? end - taken : 0;
  uint64_t free = all.f_blocks;
  if (parts != 1) free = all.f_bavail / parts;
  else if (all.f_type == EXT4_SUPER_MAGIC) {
    free = CALL(SYS_geteuid, 0, 0, 0, 0, 0) == 0 ? all.f_bfree : all.f_bavail;
  }
  return (needed < length ? needed : length) > free * (uint64_t)all.f_bsize;
}

// ---- blocking calls: arguments laid out as in a submission ----------------------------------------------------

static long blocking(uint32_t opcode, int32_t fd, uintptr_t address, uint32_t length, uint64_t offset,
                     uint32_t flags) {
  switch (opcode) {
  case IORING_OP_READ:
  case IORING_OP_READ_FIXED:
    return CALL(SYS_pread64, fd, address, length, offset, 0);
  case IORING_OP_WRITE:
  case IORING_OP_WRITE_FIXED: {
    if (!flags) return CALL(SYS_pwrite64, fd, address, length, offset, 0);
    struct {
      uintptr_t base, length;
    } vector = {address, length};
    return call6(SYS_pwritev2, fd, (long)&vector, 1, (long)offset, 0, (long)flags);
  }
  case IORING_OP_FSYNC:
    return CALL(flags & IORING_FSYNC_DATASYNC ? SYS_fdatasync : SYS_fsync, fd, 0, 0, 0, 0);
  case IORING_OP_FALLOCATE:
    return allocate(fd, length, offset, address);
  case IORING_OP_OPENAT:
    return CALL(SYS_openat, fd, address, flags, length, 0);
  case IORING_OP_CLOSE:
    return CALL(SYS_close, fd, 0, 0, 0, 0);
  case IORING_OP_STATX:
    return CALL(SYS_statx, fd, address, flags, length, offset);
  case IORING_OP_RENAMEAT:
    return CALL(SYS_renameat2, fd, address, (int32_t)length, offset, flags);
  case IORING_OP_UNLINKAT:
    return CALL(SYS_unlinkat, fd, address, flags, 0, 0);
  case IORING_OP_LINKAT:
    return CALL(SYS_linkat, fd, address, (int32_t)length, offset, flags);
  case CALL_FTRUNCATE:
    return CALL(SYS_ftruncate, fd, offset, 0, 0, 0);
  case CALL_READLINK:
    return CALL(SYS_readlinkat, fd, address, offset, length, 0);
  case CALL_EVENTFD:
    return CALL(SYS_eventfd2, 0, flags, 0, 0, 0);
  case CALL_FLOCK:
    return CALL(SYS_flock, fd, flags, 0, 0, 0);
  case CALL_COPY_RANGE: {
    int64_t from = (int64_t)offset, to = (int64_t)address;
    return call6(SYS_copy_file_range, fd, (long)&from, (int32_t)flags, (long)&to, (long)length, 0);
  }
  case CALL_STATFS:
    return CALL(SYS_fstatfs, fd, address, 0, 0, 0);
  case CALL_AWAIT_SIGNAL:
    return await_signal(fd);
  case CALL_SIGNAL:
    return send_signal(fd);
  case CALL_UNAME:
    return CALL(SYS_uname, address, 0, 0, 0, 0);
  case CALL_FCNTL:
    return CALL(SYS_fcntl, fd, length, flags, 0, 0);
  case CALL_OPENAT2:
    return CALL(SYS_openat2, fd, address, offset, length, 0);
  case CALL_IS_MAIN_THREAD:
    return is_main_thread();
  case CALL_WAIT_RING:
    return wait_ring((const struct io_uring *)address, length);
  case CALL_IDENTIFY:
    return identify(fd, address, (struct identity *)(uintptr_t)offset);
  case CALL_STATX_CACHED:
    return cached_statx(fd, address, length, offset, flags);
  case CALL_CLOSE_SMALL:
    return close_small(fd, length);
  case CALL_RESERVE:
    return lacks_room(fd, offset, address, flags) ? -ENOSPC : allocate(fd, length, offset, address);
  case CALL_REOPEN:
    return reopen(fd, address);
  default:
    return -ENOSYS;
  }
}

// Performs one system call, again if a signal interrupts it. Returns its result, or -errno.
EXPORT int32_t dma_call(uint32_t opcode, int32_t fd, double address, uint32_t length, double offset,
                        uint32_t flags) {
  if (!acceptable(opcode, address, length, offset)) return -EINVAL;
  long result;
  do {
    result = blocking(opcode, fd, (uintptr_t)address, length, (uint64_t)offset, flags);
    // An interrupted close has released the descriptor.
  } while (result == -EINTR && opcode != IORING_OP_CLOSE && opcode != CALL_CLOSE_SMALL);
  return (int32_t)result;
}

// ---- the end of a thread --------------------------------------------------------------------------------------

// The place of a result while its caller starts the call.
#define HELD (INT32_MIN + 1)

// Waits until the caller has started the call. Deno resolves a call that returns earlier in the same turn of the event
// loop, between two microtasks of the program.
static void await_start(const struct resources *resources, uint32_t place) {
  for (int polls = 0; __atomic_load_n(&resources->results[place], __ATOMIC_ACQUIRE) == HELD; polls++) {
    if (__atomic_load_n(&resources->closed, __ATOMIC_SEQ_CST)) return;
    // The caller takes some microseconds, and the shortest sleep 50 or more.
    if (polls < 100) CALL(SYS_sched_yield, 0, 0, 0, 0, 0);
    else CALL(SYS_nanosleep, &MILLISECOND, 0, 0, 0, 0);
  }
}

// dma_call on another thread. If it starts after the isolate has ended, it does nothing. A descriptor that it opens
// is tracked before it returns, and one that it closes is tracked until the call.
EXPORT int32_t dma_call_on_thread(struct resources *resources, uint32_t place, uint32_t opcode, int32_t fd,
                                  double address, uint32_t length, double offset, uint32_t flags) {
  __atomic_add_fetch(&resources->running, 1, __ATOMIC_SEQ_CST);
  int closed = __atomic_load_n(&resources->closed, __ATOMIC_SEQ_CST);
  if (!closed && opcode == IORING_OP_CLOSE) untrack(resources, fd);
  int32_t result = closed ? -ECANCELED : dma_call(opcode, fd, address, length, offset, flags);
  if ((opcode == IORING_OP_OPENAT || opcode == CALL_OPENAT2) && result >= 0) track(resources, result);
  await_start(resources, place);
  __atomic_store_n(&resources->results[place], result, __ATOMIC_RELEASE);
  __atomic_sub_fetch(&resources->running, 1, __ATOMIC_RELEASE);
  __atomic_sub_fetch(&resources->calls, 1, __ATOMIC_RELEASE);
  return result;
}

// The longest wait, in seconds, for the next operation in flight when the thread ends.
#define EXIT_TIMEOUT 5

// Waits until every running call on another thread has ended. Returns whether they all have.
static int calls_end(const int32_t *running) {
  for (int waited = 0; waited < EXIT_TIMEOUT * 1000; waited++) {
    if (__atomic_load_n(running, __ATOMIC_SEQ_CST) == 0) return 1;
    CALL(SYS_nanosleep, &MILLISECOND, 0, 0, 0, 0);
  }
  return 0;
}

// Closes the descriptors that were opened by operations whose completions were not reaped. Returns the number of
// completions so far.
static unsigned close_opened(struct io_uring_cq *cq) {
  unsigned head = *cq->khead, tail = io_uring_smp_load_acquire(cq->ktail);
  for (; head != tail; head++) {
    const struct io_uring_cqe *cqe = &cq->cqes[head & *cq->kring_mask];
    if (cqe->user_data & OPENS && cqe->res >= 0) CALL(SYS_close, cqe->res, 0, 0, 0, 0);
  }
  io_uring_smp_store_release(cq->khead, tail);
  return tail;
}

// Waits until all operations that were submitted to a ring have completed. Returns 0, or -errno if they have not.
static long drain(struct io_uring *ring) {
  struct __kernel_timespec timeout = {.tv_sec = EXIT_TIMEOUT};
  for (;;) {
    // Each entry that the kernel took gives one completion.
    if (close_opened(&ring->cq) == io_uring_smp_load_acquire(ring->sq.khead)) return 0;
    long result = wait_completion(ring, timeout);
    if (result < 0 && result != -EINTR) return result;
  }
}

static void take_down(struct io_uring *ring) {
  unsigned entries = *ring->sq.kring_entries;
  CALL(SYS_munmap, ring->sq.sqes, entries * sizeof(struct io_uring_sqe), 0, 0, 0);
  if (ring->cq.ring_ptr != ring->sq.ring_ptr) CALL(SYS_munmap, ring->cq.ring_ptr, ring->cq.ring_sz, 0, 0, 0);
  CALL(SYS_munmap, ring->sq.ring_ptr, ring->sq.ring_sz, 0, 0, 0);
  CALL(SYS_close, ring->ring_fd, 0, 0, 0, 0);
}

// Releases the resources of an isolate. libc calls this when its thread ends. Resources that the kernel, or a call on
// another thread, may still use are not released.
EXPORT void dma_on_thread_exit(struct resources *resources) {
  // The process ends with the main thread, and must not wait for the disk.
  if (is_main_thread()) return;
  __atomic_store_n(&resources->closed, 1, __ATOMIC_SEQ_CST);
  if (resources->notifier >= 0) send_signal(resources->notifier);
  if (!calls_end(&resources->running)) return;
  struct io_uring *ring = (struct io_uring *)(uintptr_t)resources->ring;
  if (ring) {
    if (drain(ring) < 0) return;
    take_down(ring);
  }
  for (int fd = 0; fd < 8 * (int)sizeof resources->descriptors; fd++) {
    if (resources->descriptors[fd / 8] & 1 << fd % 8) CALL(SYS_close, fd, 0, 0, 0, 0);
  }
  for (uint32_t index = 0; index < (uint32_t)resources->mappings; index++) {
    dma_unmap(resources->mapping[index].address, resources->mapping[index].length);
  }
  // A call that has not started yet, and perhaps never will, must still find `closed` set.
  double start = (double)(uintptr_t)resources;
  int lost = __atomic_load_n(&resources->calls, __ATOMIC_ACQUIRE) != 0;
  dma_unmap(lost ? start + KEPT_BYTES : start, lost ? RESOURCES_BYTES - KEPT_BYTES : RESOURCES_BYTES);
}
