// dma_call, as far as the module itself cannot show it: what is refused before the kernel sees it, what a signal cuts short,
// where a structure has its fields, and flags that only some kernels know. And the C library, which the shim does without.
// That each operation does what it is named after, the module's own tests show (tests/file, and on another processor
// tests/ffi/emulated_deno_test.ts).

#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz";

// A fresh file with the alphabet, open for reading and writing.
static int make_file(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/file", directory);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, LETTERS, 26) != 26) give_up(path);
  return fd;
}

static int32_t call_read(int fd, void *to, uint32_t length, double position) {
  return shim.call(IORING_OP_READ, fd, AT(to), length, position, 0);
}

// Past what 32 bits count.
#define FAR 5368709120.0

// Flags for one write alone: durable at once, at a position past 2^32 too; what no kernel knows.
static void check_write_flags(void) {
  char buffer[8];
  int fd = make_file();
  int32_t flagged = shim.call(IORING_OP_WRITE, fd, AT("durable"), 7, FAR + 1, 2 /* RWF_DSYNC */);
  if (flagged != -ENOSYS) { // an emulator may not know the call
    EQUAL(flagged, 7);
    EQUAL(call_read(fd, buffer, 8, FAR), 8);
    EQUAL(memcmp(buffer, "\0durable", 8), 0);
    EQUAL(shim.call(IORING_OP_WRITE, fd, AT("durable"), 7, 0, 0x40000000), -EOPNOTSUPP);
  }
  // A refusal of the kernel is passed on in one way, whatever the operation.
  EQUAL(call_read(-1, buffer, 1, 0), -EBADF);
  close(fd);
}

static int32_t call_eventfd(void) { return shim.call(CALL_EVENTFD, -1, 0, 0, 0, EFD_CLOEXEC); }

static int32_t await_signal(int fd) { return shim.call(CALL_AWAIT_SIGNAL, fd, 0, 0, 0, 0); }

static int32_t send_signal(int fd) { return shim.call(CALL_SIGNAL, fd, 0, 0, 0, 0); }

static void check_eventfd(void) {
  int fd = call_eventfd();
  CHECK(fd > 2);
  EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
  // Another descriptor of the same eventfd, as epoll gets it, which makes that one not block either.
  int other = shim.call(CALL_FCNTL, fd, 0, F_DUPFD_CLOEXEC, 0, 0);
  CHECK(other > fd);
  EQUAL(fcntl(other, F_GETFD), FD_CLOEXEC);
  EQUAL(shim.call(CALL_FCNTL, other, 0, F_SETFL, 0, O_NONBLOCK), 0);
  EQUAL(await_signal(fd), -EAGAIN);
  EQUAL(send_signal(fd), 8);
  EQUAL(send_signal(fd), 8);
  // All are taken at once.
  EQUAL(await_signal(other), 8);
  EQUAL(await_signal(fd), -EAGAIN);
  EQUAL(close(other), 0);
  EQUAL(close(fd), 0);
}

static int signalled, events;

static void on_alarm(int number) {
  (void)number;
  uint64_t one = 1;
  // The first signals only interrupt; then there is something to read.
  if (++signalled == 3 && write(events, &one, 8) != 8) _exit(1);
}

static void check_interrupted(void) {
  struct sigaction action = {.sa_handler = on_alarm}; // without SA_RESTART
  struct itimerval often = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
  events = call_eventfd();
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  EQUAL(await_signal(events), 8);
  setitimer(ITIMER_REAL, &never, NULL);
  CHECK(signalled >= 3);
  close(events);
}

static void check_system(void) {
  struct utsname ours, libcs;
  memset(&ours, 0xee, sizeof ours);
  uname(&libcs);
  EQUAL(shim.call(CALL_UNAME, -1, AT(&ours), 0, 0, 0), 0);
  EQUAL(strcmp(ours.release, libcs.release), 0);
  EQUAL(strcmp(ours.machine, libcs.machine), 0);
  // Where src/configure.ts reads it.
  EQUAL(strcmp((char *)&ours + 2 * 65, libcs.release), 0);

  struct statfs facts, same;
  memset(&facts, 0xee, sizeof facts);
  int fd = make_file();
  fstatfs(fd, &same);
  EQUAL(shim.call(CALL_STATFS, fd, AT(&facts), 0, 0, 0), 0);
  EQUAL(facts.f_type, same.f_type);
  EQUAL(facts.f_bsize, same.f_bsize);
  EQUAL(facts.f_blocks, same.f_blocks);
  // Where src/file/file_system.ts reads it.
  EQUAL(*(uint32_t *)&facts, (uint32_t)same.f_type);
  EQUAL(*((uint64_t *)&facts + 2), (uint64_t)same.f_blocks);

  struct file_handle handle = {0};
  int mount = -1;
  name_to_handle_at(fd, "", &handle, &mount, AT_EMPTY_PATH);
  if (mount >= 0) EQUAL(shim.call(CALL_MOUNT_ID, fd, 0, 0, 0, AT_EMPTY_PATH), mount);
  EQUAL(shim.call(CALL_MOUNT_ID, -1, 0, 0, 0, AT_EMPTY_PATH), -EBADF);
  close(fd);

  EQUAL(shim.call(CALL_IS_MAIN_THREAD, -1, 0, 0, 0, 0), 1);
}

#if defined(__x86_64__)
#define MUSL "libc.musl-x86_64.so.1"
#elif defined(__aarch64__)
#define MUSL "libc.musl-aarch64.so.1"
#endif

// The C library by the names that ffi/library.ts tries, in that order, and what ffi/shim.ts wants of it.
static void check_libc(void) {
  const char *names[] = {"", "libc.so.6", MUSL};
  void *libc = NULL;
  for (int at = 0; at < 3 && !libc; at++) libc = dlopen(names[at], RTLD_NOW);
  if (!CHECK(libc)) return;
  CHECK(dlsym(libc, "memfd_create"));
  CHECK(dlsym(libc, "write") == (void *)&write);
  CHECK(dlsym(libc, "close") == (void *)&close);
  CHECK(dlsym(libc, "dlopen"));
  dlclose(libc);
}

// What is no number of bytes, or no place, is refused before the kernel sees it.
static void check_arguments(void) {
  static const uint32_t others[] = {
      IORING_OP_FSYNC,    IORING_OP_FALLOCATE, IORING_OP_OPENAT,  IORING_OP_CLOSE, IORING_OP_STATX,
      IORING_OP_RENAMEAT, IORING_OP_UNLINKAT,  IORING_OP_LINKAT,  CALL_FTRUNCATE,  CALL_READLINK,
      CALL_EVENTFD,       CALL_FLOCK,          CALL_COPY_RANGE,   CALL_STATFS,     CALL_AWAIT_SIGNAL,
      CALL_UNAME,         CALL_SIGNAL,         CALL_MOUNT_ID};
  char buffer[512];
  memset(buffer, 'x', sizeof buffer);
  int fd = make_file();
  FOR_EACH(at, movers) {
    FOR_EACH(wrong, no_number) {
      EQUAL(shim.call(movers[at], fd, no_number[wrong], 8, 0, 0), -EINVAL);
      EQUAL(shim.call(movers[at], fd, AT(buffer), 8, no_number[wrong], 0), -EINVAL);
    }
    EQUAL(shim.call(movers[at], fd, 0, 8, 0, 0), -EINVAL);
    EQUAL(shim.call(movers[at], fd, AT(buffer), 0, 0, 0), -EINVAL);
    EQUAL(shim.call(movers[at], fd, AT(buffer), 0x7ffff001u, 0, 0), -EINVAL);
    EQUAL(shim.call(movers[at], fd, AT(buffer), 0xffffffffu, 0, 0), -EINVAL);
    EQUAL(shim.call(movers[at], fd, AT(buffer), 8, MAX_EXACT - 7, 0), -EINVAL);
  }
  FOR_EACH(at, others) {
    FOR_EACH(wrong, no_number) {
      EQUAL(shim.call(others[at], fd, no_number[wrong], 0, 0, 0), -EINVAL);
      EQUAL(shim.call(others[at], fd, 0, 0, no_number[wrong], 0), -EINVAL);
    }
  }
  // Neither the file nor the buffer nor the descriptor has felt any of it.
  struct stat facts;
  if (fstat(fd, &facts)) give_up("fstat");
  EQUAL(facts.st_size, 26);
  EQUAL(call_read(fd, buffer + 8, 26, 0), 26);
  EQUAL(memcmp(buffer, "xxxxxxxxabcdefghijklmnopqrstuvwxyzxx", 36), 0);

  static const uint32_t unknown[] = {0, 54, 56, 255, CALL_MOUNT_ID + 1, 0xffffffffu};
  FOR_EACH(at, unknown) EQUAL(shim.call(unknown[at], fd, AT(buffer), 8, 0, 0), -ENOSYS);
  close(fd);
}

void test_calls(void) {
  check_arguments();
  check_write_flags();
  check_eventfd();
  check_interrupted();
  check_system();
  check_libc();
}
