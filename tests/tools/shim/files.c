// dma_call on the bytes of a file: what it does, at positions past 2^32 too, and a refusal of the kernel as -errno.

#include <fcntl.h>

#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Past what 32 bits count.
#define FAR 5368709120.0

const char *in_directory(const char *name) {
  static char paths[9][4096];
  static int last;
  char *path = paths[++last % 9];
  snprintf(path, sizeof paths[0], "%s/%s", directory, name);
  return path;
}

int make_file(const char *name, int length) {
  const char *path = in_directory(name);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) give_up(path);
  for (int at = 0; at < length; at++) {
    char byte = (char)('a' + at % 26);
    if (write(fd, &byte, 1) != 1) give_up(path);
  }
  return fd;
}

double length_of(int fd) {
  struct stat facts;
  if (fstat(fd, &facts)) give_up("fstat");
  return (double)facts.st_size;
}

static void check_bytes(void) {
  char buffer[4096], zeros[4096] = {0};
  int fd = make_file("bytes", 0);
  EQUAL(call_write(fd, "five bytes", 5, 0), 5);
  EQUAL(call_write(fd, "far away", 8, FAR), 8);
  EQUAL(shim.call(IORING_OP_WRITE_FIXED, fd, AT("fixed"), 5, 5, 0), 5);
  EQUAL(length_of(fd), FAR + 8);
  // Where the descriptor itself stands has nothing to do with it.
  EQUAL(lseek(fd, 0, SEEK_CUR), 0);
  EQUAL(call_read(fd, buffer, 10, 0), 10);
  EQUAL(memcmp(buffer, "five fixed", 10), 0);
  EQUAL(shim.call(IORING_OP_READ_FIXED, fd, AT(buffer), 3, FAR + 4, 0), 3);
  EQUAL(memcmp(buffer, "awa", 3), 0);
  EQUAL(call_read(fd, buffer, sizeof buffer, 4096), sizeof buffer);
  EQUAL(memcmp(buffer, zeros, sizeof buffer), 0);
  // Fewer where the file ends, none behind it.
  EQUAL(call_read(fd, buffer, sizeof buffer, FAR), 8);
  EQUAL(call_read(fd, buffer, sizeof buffer, FAR + 8), 0);
  // The last byte that a number counts exactly: no file system has as much.
  int32_t refused = call_write(fd, "!", 1, MAX_EXACT - 1);
  CHECK(refused == -EFBIG || refused == 1);
  EQUAL(call_read(fd, buffer, 1, MAX_EXACT - 1), refused == 1);

  // With flags for one write alone: durable at once, at a position past 2^32 too; what no kernel knows.
  int32_t flagged = shim.call(IORING_OP_WRITE, fd, AT("durable"), 7, FAR + 1, 2 /* RWF_DSYNC */);
  if (flagged != -ENOSYS) { // an emulator may not know the call
    EQUAL(flagged, 7);
    EQUAL(call_read(fd, buffer, 9, FAR), 8);
    EQUAL(memcmp(buffer, "fdurable", 8), 0);
    EQUAL(shim.call(IORING_OP_WRITE, fd, AT("durable"), 7, 0, 0x40000000), -EOPNOTSUPP);
  }

  EQUAL(shim.call(IORING_OP_FSYNC, fd, 0, 0, 0, 0), 0);
  EQUAL(shim.call(IORING_OP_FSYNC, fd, 0, 0, 0, IORING_FSYNC_DATASYNC), 0);
  EQUAL(call_truncate(fd, 3), 0);
  EQUAL(length_of(fd), 3);
  EQUAL(call_truncate(fd, FAR), 0);
  EQUAL(length_of(fd), FAR);
  EQUAL(call_truncate(fd, 0), 0);
  EQUAL(length_of(fd), 0);
  close(fd);
  // A refusal of the kernel is passed on in one way, whatever the operation.
  EQUAL(call_read(-1, buffer, 1, 0), -EBADF);
}

static void check_allocate(void) {
  char buffer[16384];
  int fd = make_file("allocated", sizeof buffer);
  // The two numbers differ, and so does what each other order of them would make a hole.
  int32_t result = call_allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192);
  if (result != -EOPNOTSUPP) {
    EQUAL(result, 0);
    EQUAL(call_read(fd, buffer, sizeof buffer, 0), sizeof buffer);
    size_t wrong = 0;
    for (int at = 0; at < (int)sizeof buffer; at++) {
      wrong += buffer[at] != (at < 4096 || at >= 4096 + 8192 ? 'a' + at % 26 : 0);
    }
    EQUAL(wrong, 0);
  }
  EQUAL(call_truncate(fd, 8192), 0);
  result = call_allocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 65536);
  if (result != -EOPNOTSUPP) {
    EQUAL(result, 0);
    EQUAL(length_of(fd), 8192);
    EQUAL(call_allocate(fd, 0, 8192, 65536), 0);
    EQUAL(length_of(fd), 8192 + 65536);
    // The position is not the length: far behind, and short.
    EQUAL(call_allocate(fd, 0, FAR, 4096), 0);
    EQUAL(length_of(fd), FAR + 4096);
  }
  EQUAL(call_allocate(-1, 0, 0, 4096), -EBADF);
  close(fd);
}

static void check_copy(void) {
  char buffer[16];
  int from = make_file("from", 26), to = make_file("to", 0);
  lseek(from, 20, SEEK_SET);
  // Bytes 3 to 7 to position 2: each of the three numbers differs.
  EQUAL(call_copy(from, 3, to, 2, 5), 5);
  EQUAL(call_read(to, buffer, sizeof buffer, 0), 7);
  EQUAL(memcmp(buffer, "\0\0defgh", 7), 0);
  EQUAL(call_copy(from, 24, to, FAR, 100), 2);
  EQUAL(length_of(to), FAR + 2);
  EQUAL(call_copy(from, 26, to, 0, 100), 0);
  // Neither descriptor has moved.
  EQUAL(lseek(from, 0, SEEK_CUR), 20);
  EQUAL(lseek(to, 0, SEEK_CUR), 0);
  close(from);
  close(to);
}

void test_files(void) {
  check_bytes();
  check_allocate();
  check_copy();
}

// What is no number of bytes, or no place, is refused before the kernel sees it.
void test_arguments(void) {
  static const uint32_t others[] = {
      IORING_OP_FSYNC,    IORING_OP_FALLOCATE, IORING_OP_OPENAT,  IORING_OP_CLOSE, IORING_OP_STATX,
      IORING_OP_RENAMEAT, IORING_OP_UNLINKAT,  IORING_OP_LINKAT,  CALL_FTRUNCATE,  CALL_READLINK,
      CALL_EVENTFD,       CALL_FLOCK,          CALL_COPY_RANGE,   CALL_STATFS,     CALL_AWAIT_SIGNAL,
      CALL_UNAME,         CALL_SIGNAL,         CALL_CLOSE_MANY,   CALL_MOUNT_ID};
  char buffer[512];
  memset(buffer, 'x', sizeof buffer);
  int fd = make_file("arguments", 26);
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
  EQUAL(length_of(fd), 26);
  EQUAL(call_read(fd, buffer + 8, 26, 0), 26);
  EQUAL(memcmp(buffer, "xxxxxxxxabcdefghijklmnopqrstuvwxyzxx", 36), 0);

  static const uint32_t unknown[] = {0, 54, 56, 255, CALL_MOUNT_ID + 1, 0xffffffffu};
  FOR_EACH(at, unknown) EQUAL(shim.call(unknown[at], fd, AT(buffer), 8, 0, 0), -ENOSYS);
  close(fd);
}
