// dma_call on names: opening, renaming, linking, removing, and what a file is.

#include <fcntl.h>
#include <linux/stat.h>

#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Of linux/fs.h, which cannot be included beside the C library's headers.
#define NOREPLACE 1

static void check_open(void) {
  char buffer[8];
  umask(022);
  int fd = call_open(in_directory("opened"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  CHECK(fd > 2);
  struct stat facts;
  fstat(fd, &facts);
  EQUAL(facts.st_mode, S_IFREG | 0640);
  EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
  EQUAL(call_write(fd, "12345678", 8, 0), 8);
  EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
  EQUAL(call_close(fd), 0);
  EQUAL(call_close(fd), -EBADF);
  EQUAL(call_open(in_directory("missing"), O_RDONLY, 0), -ENOENT);
  // A directory and nothing else, by the processor's own number of the flag.
  EQUAL(call_open(in_directory("opened"), O_RDONLY | O_DIRECTORY, 0), -ENOTDIR);
  int folder = call_open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  CHECK(folder > 2);
  // Below a directory that is open.
  fd = shim.call(IORING_OP_OPENAT, folder, AT("opened"), 0, 0, O_RDONLY | O_CLOEXEC);
  CHECK(fd > 2);
  EQUAL(call_read(fd, buffer, 8, 0), 8);
  EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
  EQUAL(call_close(fd), 0);
  EQUAL(call_close(folder), 0);
}

// The path is looked up as the structure says: from the kernel's memory alone, or not at all.
static void check_openat2(void) {
  struct {
    uint64_t flags, mode, resolve;
  } how = {O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0};
  int fd = shim.call(CALL_OPENAT2, AT_FDCWD, AT(directory), sizeof how, AT(&how), 0);
  if (fd == -ENOSYS) return; // younger than 5.6
  CHECK(fd > 2);
  EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
  EQUAL(call_close(fd), 0);
  EQUAL(shim.call(CALL_OPENAT2, AT_FDCWD, AT(directory), 8, AT(&how), 0), -EINVAL);
  how.resolve = 1ull << 40;
  EQUAL(shim.call(CALL_OPENAT2, AT_FDCWD, AT(directory), sizeof how, AT(&how), 0), -EINVAL);
}

// O_DIRECT has another number on each processor: with a wrong one everything works, through the page cache.
static void check_direct(void) {
  int fd = call_open(in_directory("opened"), O_RDWR | O_DIRECT | O_CLOEXEC, 0);
  if (fd == -EINVAL) return; // the file system has none
  CHECK(fd > 2);
  EQUAL(fcntl(fd, F_GETFL) & O_DIRECT, O_DIRECT);
  double memory = shim.map(65536, 0);
  memset((void *)(uintptr_t)memory, 'd', 4096);
  EQUAL(shim.call(IORING_OP_WRITE, fd, memory, 4096, 0, 0), 4096);
  EQUAL(shim.call(IORING_OP_READ, fd, memory + 4096, 4096, 0, 0), 4096);
  EQUAL(memcmp((void *)(uintptr_t)memory, (char *)(uintptr_t)memory + 4096, 4096), 0);
  shim.unmap(memory, 65536);
  // Off and on again, for what is open.
  EQUAL(shim.call(CALL_FCNTL, fd, 0, F_SETFL, 0, 0), 0);
  EQUAL(fcntl(fd, F_GETFL) & O_DIRECT, 0);
  EQUAL(shim.call(CALL_FCNTL, fd, 0, F_SETFL, 0, O_DIRECT), 0);
  EQUAL(fcntl(fd, F_GETFL) & O_DIRECT, O_DIRECT);
  EQUAL(call_close(fd), 0);
}

static void check_stat(void) {
  struct statx facts;
  memset(&facts, 0xee, sizeof facts);
  int fd = make_file("facts", 100);
  EQUAL(call_statx(fd, "", STATX_BASIC_STATS, &facts, AT_EMPTY_PATH), 0);
  EQUAL(facts.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
  EQUAL(facts.stx_size, 100);
  EQUAL(facts.stx_mode, S_IFREG | 0600);
  EQUAL(facts.stx_nlink, 1);
  struct stat same;
  fstat(fd, &same);
  EQUAL(facts.stx_ino, same.st_ino);
  EQUAL(call_statx(AT_FDCWD, directory, STATX_BASIC_STATS, &facts, 0), 0);
  CHECK(S_ISDIR(facts.stx_mode));
  close(fd);
}

static void check_rename(void) {
  const char *one = in_directory("one"), *two = in_directory("two");
  close(make_file("one", 1));
  close(make_file("two", 2));
  int32_t refused = call_rename(one, two, NOREPLACE);
  CHECK(refused == -EEXIST || refused == -EINVAL); // a file system need not know the flag
  EQUAL(call_rename(one, two, 0), 0);
  EQUAL(access(one, F_OK), -1);
  int fd = open(two, O_RDONLY | O_CLOEXEC);
  EQUAL(length_of(fd), 1);
  close(fd);
}

static void check_link(void) {
  const char *two = in_directory("two"), *linked = in_directory("linked"), *named = in_directory("named");
  EQUAL(call_link(two, linked, 0), 0);
  struct stat facts;
  stat(two, &facts);
  EQUAL(facts.st_nlink, 2);
  // A file without a name gets one as src/engine/sqe.ts does it.
  int fd = call_open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd != -EOPNOTSUPP) {
    CHECK(fd > 2);
    EQUAL(call_write(fd, "nameless", 8, 0), 8);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    EQUAL(call_link(path, named, AT_SYMLINK_FOLLOW), 0);
    EQUAL(call_close(fd), 0);
    EQUAL(stat(named, &facts), 0);
    EQUAL(facts.st_size, 8);
    EQUAL(call_unlink(named, 0), 0);
  }
  EQUAL(call_unlink(linked, 0), 0);
  EQUAL(access(two, F_OK), 0);
  mkdir(in_directory("folder"), 0700);
  EQUAL(call_unlink(in_directory("folder"), 0), -EISDIR);
  EQUAL(call_unlink(in_directory("folder"), AT_REMOVEDIR), 0);
  EQUAL(access(in_directory("folder"), F_OK), -1);
}

static void check_readlink(void) {
  char target[64];
  memset(target, '#', sizeof target);
  const char *link = in_directory("symbolic");
  if (symlink("where it leads", link)) give_up(link);
  EQUAL(call_readlink(link, target, sizeof target), 14);
  EQUAL(memcmp(target, "where it leads#", 15), 0);
  memset(target, '#', sizeof target);
  EQUAL(call_readlink(link, target, 5), 5);
  EQUAL(memcmp(target, "where##", 7), 0);
}

void test_names(void) {
  check_open();
  check_openat2();
  check_direct();
  check_stat();
  check_rename();
  check_link();
  check_readlink();
}
