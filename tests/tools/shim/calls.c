// dma_abi, dma_map, dma_unmap and dma_call, as far as the module itself cannot show it: memory that is all there and all given
// back, what is refused before the kernel sees it, and what a signal cuts short. That each operation does what it is named
// after, the module's own tests show (tests/file, and on another processor tests/mounts/promises.ts).

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE_PAGE (2ul << 20)

static unsigned long address_space(void) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%lu", &pages) != 1) give_up("/proc/self/statm");
  fclose(file);
  return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static void check_mapping(double length, uint32_t huge) {
  double address = shim.map(length, huge);
  if (!CHECK(address > 0)) return;
  EQUAL((uintptr_t)address % (huge ? HUGE_PAGE : (unsigned long)sysconf(_SC_PAGESIZE)), 0);
  unsigned char *bytes = (unsigned char *)(uintptr_t)address;
  size_t size = (size_t)length, wrong = 0;
  for (size_t at = 0; at < size; at++) wrong += bytes[at] != 0;
  EQUAL(wrong, 0);
  memset(bytes, 0xa5, size);
  CHECK(mapped(address) && mapped(address + length - 1));
  EQUAL(shim.unmap(address, length), 0);
  CHECK(!mapped(address) && !mapped(address + length - 1));
}

static void check_not_inherited(void) {
  double address = shim.map(65536, 0);
  pid_t child = fork();
  if (child < 0) give_up("fork");
  if (child == 0) _exit(mapped(address));
  int status;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EQUAL(shim.unmap(address, 65536), 0);
}

void test_memory(void) {
  EQUAL(shim.abi(), 20);
  const double lengths[] = {4096, 65536, HUGE_PAGE, HUGE_PAGE + 65536, 8 << 20};
  FOR_EACH(at, lengths) {
    check_mapping(lengths[at], 0);
    check_mapping(lengths[at], 1);
  }

  // What was mapped beyond the asked for, to align it, is given back at once: it would be as much again. The C
  // library and the emulator take some for themselves in between.
  const int rounds = 16;
  unsigned long before = address_space();
  double kept[16];
  for (int at = 0; at < rounds; at++) kept[at] = shim.map(HUGE_PAGE, 1);
  unsigned long grown = address_space() - before;
  CHECK(grown >= rounds * HUGE_PAGE && grown < (rounds + 2) * HUGE_PAGE);
  for (int at = 0; at < rounds; at++) EQUAL(shim.unmap(kept[at], HUGE_PAGE), 0);
  CHECK(address_space() < before + 2 * HUGE_PAGE);

  FOR_EACH(at, no_number) {
    EQUAL(shim.map(no_number[at], 0), -EINVAL);
    EQUAL(shim.unmap(4096, no_number[at]), -EINVAL);
    EQUAL(shim.unmap(no_number[at], 4096), -EINVAL);
  }
  EQUAL(shim.map(0, 0), -EINVAL);
  EQUAL(shim.unmap(4096, 0), -EINVAL);
  EQUAL(shim.unmap(0, 4096), -EINVAL);
  // More than any address space has.
  EQUAL(shim.map(1125899906842624.0, 1), -ENOMEM);

  // The emulator's processes inherit everything.
  if (!emulated) check_not_inherited();
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
  events = shim.call(CALL_EVENTFD, -1, 0, 0, 0, EFD_CLOEXEC);
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  EQUAL(shim.call(CALL_AWAIT_SIGNAL, events, 0, 0, 0, 0), 8);
  setitimer(ITIMER_REAL, &never, NULL);
  CHECK(signalled >= 3);
  close(events);
}

// What is no number of bytes, or no place, is refused before the kernel sees it.
static void check_arguments(void) {
  static const uint32_t others[] = {IORING_OP_FSYNC, IORING_OP_CLOSE, IORING_OP_STATX, CALL_STATX_CACHED};
  static const uint32_t unknown[] = {0, 54, 56, 255, CALL_REOPEN + 1, 0xffffffffu};
  char buffer[512];
  memset(buffer, 'x', sizeof buffer);
  int fd = memfd_create("file", MFD_CLOEXEC);
  if (fd < 0 || write(fd, "abcdefgh", 8) != 8) give_up("memfd_create");
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
  FOR_EACH(at, unknown) EQUAL(shim.call(unknown[at], fd, AT(buffer), 8, 0, 0), -ENOSYS);
  // Neither the file nor the buffer nor the descriptor has felt any of it.
  EQUAL(shim.call(IORING_OP_READ, fd, AT(buffer + 8), 26, 0, 0), 8);
  EQUAL(memcmp(buffer, "xxxxxxxxabcdefghxxxxxxxx", 24), 0);
  close(fd);
  // A refusal of the kernel is passed on.
  EQUAL(shim.call(IORING_OP_READ, -1, AT(buffer), 1, 0, 0), -EBADF);
}

static void check_reserve(void) {
  const double too_much = (double)(1ull << 52);
  struct stat status;
  int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return;
  EQUAL(shim.call(CALL_RESERVE, fd, 4096, 0, 0, 1), 0);
  // For the kernel the file would be too large.
  EQUAL(shim.call(CALL_RESERVE, fd, too_much, 0, 0, 1), -ENOSPC);
  EQUAL(fstat(fd, &status), 0);
  EQUAL(status.st_size, 4096);
  EQUAL(shim.call(CALL_REOPEN, fd, AT("/tmp/missing/file"), 0, 0, 0), -ENOENT);
  EQUAL(write(fd, "x", 1), 1);
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  EQUAL(shim.call(CALL_REOPEN, fd, AT(path), 0, 0, 0), fd);
  EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
  EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
  close(fd);
}

void test_calls(void) {
  check_arguments();
  check_reserve();
  check_interrupted();
}
