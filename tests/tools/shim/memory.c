// dma_abi, dma_map, dma_unmap: memory that is aligned, zeroed, all there and all given back.

#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE_PAGE (2ul << 20)

static unsigned long address_space(void) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%lu", &pages) != 1) give_up("/proc/self/statm");
  fclose(file);
  return pages * 4096;
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
  CHECK(mapped(address));
  CHECK(mapped(address + length - 1));
  EQUAL(shim.unmap(address, length), 0);
  CHECK(!mapped(address));
  CHECK(!mapped(address + length - 1));
}

static void check_not_inherited(void) {
  double address = shim.map(65536, 0);
  pid_t child = fork();
  if (child < 0) give_up("fork");
  if (child == 0) _exit(mapped(address));
  int status;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  EQUAL(WEXITSTATUS(status), 0);
  CHECK(mapped(address));
  EQUAL(shim.unmap(address, 65536), 0);
}

void test_memory(void) {
  EQUAL(shim.abi(), 14);
  const double lengths[] = {4096, 65536, 1 << 20, HUGE_PAGE, HUGE_PAGE + 65536, 8 << 20};
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
    EQUAL(shim.map(no_number[at], 1), -EINVAL);
    EQUAL(shim.unmap(4096, no_number[at]), -EINVAL);
    EQUAL(shim.unmap(no_number[at], 4096), -EINVAL);
  }
  EQUAL(shim.map(0, 0), -EINVAL);
  EQUAL(shim.map(0, 1), -EINVAL);
  EQUAL(shim.unmap(4096, 0), -EINVAL);
  EQUAL(shim.unmap(0, 4096), -EINVAL);
  // More than any address space has.
  EQUAL(shim.map(1125899906842624.0, 0), -ENOMEM);
  EQUAL(shim.map(1125899906842624.0, 1), -ENOMEM);
  // The kernel's own refusal: not at the start of a page.
  EQUAL(shim.unmap(4097, 4096), -EINVAL);

  // The emulator's processes inherit everything.
  if (!emulated) check_not_inherited();
}
