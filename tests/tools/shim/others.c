// dma_call on what is no file: eventfds, locks, the system's and the file system's name, and a call that a
// signal cuts short. And the C library, which the shim itself does without.

#include <fcntl.h>

#include "calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

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
  EQUAL(call_close(other), 0);
  EQUAL(call_close(fd), 0);
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
  call_close(events);
}

static int32_t call_flock(int fd, int operation) {
  return shim.call(CALL_FLOCK, fd, 0, 0, 0, (uint32_t)operation);
}

static void check_lock(void) {
  int one = make_file("locked", 1);
  int two = open(in_directory("locked"), O_RDWR | O_CLOEXEC);
  EQUAL(call_flock(one, LOCK_EX | LOCK_NB), 0);
  EQUAL(call_flock(two, LOCK_EX | LOCK_NB), -EWOULDBLOCK);
  EQUAL(call_flock(two, LOCK_SH | LOCK_NB), -EWOULDBLOCK);
  EQUAL(call_flock(one, LOCK_SH | LOCK_NB), 0);
  EQUAL(call_flock(two, LOCK_SH | LOCK_NB), 0);
  EQUAL(call_flock(one, LOCK_UN), 0);
  EQUAL(call_flock(two, LOCK_EX | LOCK_NB), 0);
  close(one);
  close(two);
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
  int fd = make_file("statfs", 1);
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
  const char *names[] = {"", MUSL};
  void *libc = NULL;
  for (int at = 0; at < 2 && !libc; at++) libc = dlopen(names[at], RTLD_NOW);
  if (!CHECK(libc)) return;
  CHECK(dlsym(libc, "memfd_create"));
  CHECK(dlsym(libc, "write") == (void *)&write);
  CHECK(dlsym(libc, "close") == (void *)&close);
  CHECK(dlsym(libc, "dlopen"));
  dlclose(libc);
}

void test_others(void) {
  check_libc();
  check_eventfd();
  check_interrupted();
  check_lock();
  check_system();
}
