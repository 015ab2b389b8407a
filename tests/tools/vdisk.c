// vdisk DIRECTORY MEGABYTES
//
// A disk in memory: the file "disk" in a FUSE file system on DIRECTORY, for a loop device. Like a real disk it has a
// volatile cache: written bytes are durable only after a flush (fsync).
//
// Its command, beside those of fuse_wire.h:
//   snap PATH SEED PERCENT UNIT   Writes the image that a power cut would leave to PATH: what is durable, and each
//                                 volatile piece of UNIT bytes with a probability of PERCENT.
//
// With "fault flush short 0" flushes succeed and do nothing, as on a disk that lies.

#define _GNU_SOURCE
#include "fuse_wire.h"

#include <sys/mman.h>
#include <sys/prctl.h>

enum { SECTOR = 512, DISK = 2 };
enum { READ, WRITE, FLUSH };
static const char *const operation_names[] = {"read", "write", "flush", 0};

// Of each sector: whether it was ever written, and whether it is still volatile.
enum { WRITTEN = 1, VOLATILE = 2 };

static uint64_t size;
static char *current, *durable;
static uint8_t *sectors;

static int attributes(uint64_t node, struct fuse_attr *attr) {
  memset(attr, 0, sizeof *attr);
  attr->ino = node;
  attr->nlink = 1;
  attr->blksize = 4096;
  attr->mode = node == ROOT ? S_IFDIR | 0700 : S_IFREG | 0600;
  attr->size = node == ROOT ? 0 : size;
  return 0;
}

static void serve_write(const struct request *request) {
  const struct fuse_write_in *in = request->arguments;
  uint64_t end = in->offset + in->size;
  if (end > size) return reply_error(request, ENOSPC);
  int error = meet(WRITE, in->offset, end).error;
  if (error) return reply_error(request, error);
  pthread_mutex_lock(&lock);
  memcpy(current + in->offset, request->rest, in->size);
  memset(sectors + in->offset / SECTOR, WRITTEN | VOLATILE, (in->size + SECTOR - 1) / SECTOR);
  pthread_mutex_unlock(&lock);
  struct fuse_write_out out = {.size = in->size};
  reply(request, 0, &out, sizeof out);
}

static void serve_read(const struct request *request) {
  const struct fuse_read_in *in = request->arguments;
  if (in->offset >= size) return reply(request, 0, 0, 0);
  uint64_t length = in->offset + in->size > size ? size - in->offset : in->size;
  int error = meet(READ, in->offset, in->offset + length).error;
  if (error) return reply_error(request, error);
  reply(request, 0, current + in->offset, length);
}

static void serve_flush(const struct request *request) {
  struct fate fate = meet(FLUSH, 0, 1);
  pthread_mutex_lock(&lock);
  if (!fate.error && fate.most > 0) {
    for (uint64_t index = 0; index < size / SECTOR; index++) {
      if (!(sectors[index] & VOLATILE)) continue;
      memcpy(durable + index * SECTOR, current + index * SECTOR, SECTOR);
      sectors[index] = WRITTEN;
    }
  }
  pthread_mutex_unlock(&lock);
  reply_error(request, fate.error);
}

// The loop device discards and zeroes by punching holes.
static void serve_fallocate(const struct request *request) {
  const struct fuse_fallocate_in *in = request->arguments;
  if (in->offset + in->length > size) return reply_error(request, EINVAL);
  enum { PUNCH_HOLE = 2, ZERO_RANGE = 16 };
  if (in->mode & (PUNCH_HOLE | ZERO_RANGE)) {
    int error = meet(WRITE, in->offset, in->offset + in->length).error;
    if (error) return reply_error(request, error);
    pthread_mutex_lock(&lock);
    // Making a file system first discards all of the disk, which is zeros already.
    for (uint64_t index = in->offset / SECTOR; index < (in->offset + in->length) / SECTOR; index++) {
      if (!sectors[index]) continue;
      memset(current + index * SECTOR, 0, SECTOR);
      sectors[index] = WRITTEN | VOLATILE;
    }
    pthread_mutex_unlock(&lock);
  }
  reply_error(request, 0);
}

static void forget(uint64_t node, uint64_t lookups) {
  (void)node, (void)lookups;
}

static void serve(const struct request *request, uint32_t opcode) {
  switch (opcode) {
  case FUSE_LOOKUP:
    if (strcmp(request->arguments, "disk")) return reply_error(request, ENOENT);
    return reply_entry(request, DISK, 0);
  case FUSE_GETATTR:
  case FUSE_SETATTR: return reply_attributes(request);
  case FUSE_OPEN: return reply_open(request, 0);
  case FUSE_READ: return serve_read(request);
  case FUSE_WRITE: return serve_write(request);
  case FUSE_FSYNC: return serve_flush(request);
  case FUSE_FALLOCATE: return serve_fallocate(request);
  case FUSE_FLUSH:
  case FUSE_RELEASE: return reply_error(request, 0);
  case FUSE_STATFS: {
    struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
    return reply(request, 0, &out, sizeof out);
  }
  default: return reply_error(request, ENOSYS);
  }
}

// ---- commands ---------------------------------------------------------------------------------------------------

static int snapshot(const char *path, unsigned seed, unsigned percent, unsigned unit) {
  int image = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  int good = image >= 0 && ftruncate(image, (off_t)size) == 0;
  srandom(seed);
  for (uint64_t first = 0; good && first < size; first += unit) {
    uint8_t state = 0;
    for (uint64_t at = first; at < first + unit; at += SECTOR) state |= sectors[at / SECTOR];
    if (!state) continue;
    int keep = state & VOLATILE && (unsigned)(random() % 100) < percent;
    good = pwrite(image, (keep ? current : durable) + first, unit, (off_t)first) == (ssize_t)unit;
  }
  close(image);
  return good;
}

static int obey_own(const char *command) {
  char path[2048];
  unsigned seed, percent, unit;
  if (sscanf(command, "snap %2047s %u %u %u", path, &seed, &percent, &unit) != 4) return 0;
  if (snapshot(path, seed, percent, unit)) printf("ok\n");
  else printf("error %s\n", strerror(errno));
  return 1;
}

static void *zeros(void) {
  void *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  return memory;
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: vdisk DIRECTORY MEGABYTES\n");
    return 2;
  }
  size = strtoull(arguments[2], 0, 10) << 20;
  current = zeros();
  durable = zeros();
  sectors = calloc(1, size / SECTOR);
  // The kernel writes dirty pages through this process: it must not wait for that itself (prctl(2)).
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  return run_server("vdisk", arguments[1]);
}
