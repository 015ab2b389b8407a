// dma_call, with the arguments of each operation where ffi/shim.c expects them.

#include "check.h"

// The path of a file in the test's directory. The text stays as it is for eight more calls.
const char *in_directory(const char *name);
// A fresh file of `length` bytes that repeat the alphabet, open for reading and writing.
int make_file(const char *name, int length);
// How long the file of a descriptor is.
double length_of(int fd);

static inline int32_t call_open(const char *path, int flags, unsigned mode) {
  return shim.call(IORING_OP_OPENAT, AT_FDCWD, AT(path), mode, 0, (uint32_t)flags);
}

static inline int32_t call_close(int fd) { return shim.call(IORING_OP_CLOSE, fd, 0, 0, 0, 0); }

static inline int32_t call_read(int fd, void *to, uint32_t length, double position) {
  return shim.call(IORING_OP_READ, fd, AT(to), length, position, 0);
}

static inline int32_t call_write(int fd, const void *from, uint32_t length, double position) {
  return shim.call(IORING_OP_WRITE, fd, AT(from), length, position, 0);
}

static inline int32_t call_truncate(int fd, double length) {
  return shim.call(CALL_FTRUNCATE, fd, 0, 0, length, 0);
}

static inline int32_t call_allocate(int fd, uint32_t mode, double position, double length) {
  return shim.call(IORING_OP_FALLOCATE, fd, length, mode, position, 0);
}

static inline int32_t call_statx(int fd, const char *path, uint32_t mask, void *to, uint32_t flags) {
  return shim.call(IORING_OP_STATX, fd, AT(path), mask, AT(to), flags);
}

static inline int32_t call_rename(const char *from, const char *to, uint32_t flags) {
  return shim.call(IORING_OP_RENAMEAT, AT_FDCWD, AT(from), (uint32_t)AT_FDCWD, AT(to), flags);
}

static inline int32_t call_link(const char *from, const char *to, uint32_t flags) {
  return shim.call(IORING_OP_LINKAT, AT_FDCWD, AT(from), (uint32_t)AT_FDCWD, AT(to), flags);
}

static inline int32_t call_unlink(const char *path, uint32_t flags) {
  return shim.call(IORING_OP_UNLINKAT, AT_FDCWD, AT(path), 0, 0, flags);
}

static inline int32_t call_readlink(const char *path, char *to, uint32_t length) {
  return shim.call(CALL_READLINK, AT_FDCWD, AT(path), length, AT(to), 0);
}

static inline int32_t call_copy(int from, double position, int to, double target, uint32_t length) {
  return shim.call(CALL_COPY_RANGE, from, target, length, position, (uint32_t)to);
}
