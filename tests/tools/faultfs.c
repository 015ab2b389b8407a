// faultfs DIRECTORY BACKING [FLAG...]
//
// A FUSE file system on DIRECTORY with the files of BACKING, which has no folders. It fails, shortens or delays
// operations.
//
// Flags are requests to the kernel, and ways of answering:
//   cached         no FOPEN_DIRECT_IO: the kernel's page cache is used
//   no-async-dio   no FUSE_ASYNC_DIO
//   serial         no FOPEN_PARALLEL_DIRECT_WRITES
//   writeback      FUSE_WRITEBACK_CACHE
//   lose-renamed   a rename succeeds and removes the file
//   no-size        every file has the length 0, as on servers that do not know its length

#define _GNU_SOURCE
#include "fuse_wire.h"

#include <sys/statvfs.h>

enum { OPEN, READ, WRITE, FSYNC, RENAME, FSYNCDIR };
static const char *const operation_names[] = {"open", "read", "write", "fsync", "rename", "fsyncdir", 0};

enum { MOST_NODES = 4096 };

// A file that the kernel knows. Its number is its index; the root has none.
struct node {
  char name[256];
  int descriptor;
  uint64_t lookups; // the kernel's references; 0: none is left
};

static int backing;
static uint32_t open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
static int loses_renamed, hides_size;
static struct node nodes[MOST_NODES];

static int error_of(int operation) { return meet(operation, 0, 1).error; }

static size_t smaller(size_t length, size_t most) { return length < most ? length : most; }

// ---- files --------------------------------------------------------------------------------------------------------

// The number of the file of this name, which becomes known if it is not yet; or -errno.
static long find_node(const char *name, int flags, mode_t mode) {
  pthread_mutex_lock(&lock);
  long found = 0, unused = 0;
  for (long index = ROOT + 1; index < MOST_NODES && !found; index++) {
    if (nodes[index].lookups && !strcmp(nodes[index].name, name)) found = index;
    if (!nodes[index].lookups && !unused) unused = index;
  }
  if (!found) {
    int descriptor = unused ? openat(backing, name, O_RDWR | O_CLOEXEC | flags, mode) : -1;
    if (descriptor >= 0) {
      found = unused;
      nodes[found].descriptor = descriptor;
      snprintf(nodes[found].name, sizeof nodes[found].name, "%s", name);
    } else {
      found = unused ? -errno : -ENFILE;
    }
  }
  if (found > 0) nodes[found].lookups++;
  pthread_mutex_unlock(&lock);
  return found;
}

static void forget(uint64_t node, uint64_t lookups) {
  if (node == ROOT) return;
  pthread_mutex_lock(&lock);
  nodes[node].lookups -= lookups;
  if (nodes[node].lookups == 0) close(nodes[node].descriptor);
  pthread_mutex_unlock(&lock);
}

// A name was removed, or leads to another file. The file stays, because it may be open.
static void forget_name(const char *name) {
  for (long index = ROOT + 1; index < MOST_NODES; index++) {
    if (nodes[index].lookups && !strcmp(nodes[index].name, name)) nodes[index].name[0] = 0;
  }
}

static int descriptor_of(const struct request *request) {
  uint64_t node = request->header->nodeid;
  return node == ROOT ? backing : nodes[node].descriptor;
}

static int attributes(uint64_t node, struct fuse_attr *attr) {
  struct stat status;
  if (fstat(node == ROOT ? backing : nodes[node].descriptor, &status)) return errno;
  memset(attr, 0, sizeof *attr);
  attr->ino = node;
  attr->size = hides_size ? 0 : (uint64_t)status.st_size;
  attr->blocks = (uint64_t)status.st_blocks;
  attr->mtime = (uint64_t)status.st_mtime;
  attr->mode = status.st_mode;
  attr->nlink = (uint32_t)status.st_nlink;
  attr->blksize = 4096;
  return 0;
}

// ---- requests -----------------------------------------------------------------------------------------------------

// Answers with the file of a name. Flags may create it.
static void serve_name(const struct request *request, const char *name, int flags, mode_t mode) {
  long node = find_node(name, flags, mode);
  node < 0 ? reply_error(request, (int)-node) : reply_entry(request, (uint64_t)node, open_flags);
}

static void serve_create(const struct request *request) {
  const struct fuse_create_in *in = request->arguments;
  int error = error_of(OPEN);
  if (error) return reply_error(request, error);
  serve_name(request, request->rest, O_CREAT | (int)(in->flags & O_EXCL), in->mode & 07777);
}

static void serve_open(const struct request *request) {
  int error = error_of(OPEN);
  error ? reply_error(request, error) : reply_open(request, open_flags);
}

static void serve_read(const struct request *request) {
  const struct fuse_read_in *in = request->arguments;
  struct fate fate = meet(READ, 0, 1);
  if (fate.error) return reply_error(request, fate.error);
  char *bytes = malloc(in->size);
  ssize_t length = pread(descriptor_of(request), bytes, smaller(in->size, fate.most), (off_t)in->offset);
  length < 0 ? reply_error(request, errno) : reply(request, 0, bytes, (size_t)length);
  free(bytes);
}

static void serve_write(const struct request *request) {
  const struct fuse_write_in *in = request->arguments;
  struct fate fate = meet(WRITE, 0, 1);
  if (fate.error) return reply_error(request, fate.error);
  ssize_t length =
      pwrite(descriptor_of(request), request->rest, smaller(in->size, fate.most), (off_t)in->offset);
  struct fuse_write_out out = {.size = (uint32_t)length};
  length < 0 ? reply_error(request, errno) : reply(request, 0, &out, sizeof out);
}

static void serve_setattr(const struct request *request) {
  const struct fuse_setattr_in *in = request->arguments;
  if (in->valid & FATTR_SIZE && ftruncate(descriptor_of(request), (off_t)in->size)) return reply_error(request, errno);
  reply_attributes(request);
}

static void serve_rename(const struct request *request) {
  const char *from = request->rest;
  const char *to = from + strlen(from) + 1;
  int error = error_of(RENAME);
  if (error) return reply_error(request, error);
  pthread_mutex_lock(&lock);
  if (loses_renamed ? unlinkat(backing, from, 0) : renameat(backing, from, backing, to)) {
    error = errno;
  } else {
    forget_name(to);
    if (loses_renamed) forget_name(from);
    for (long index = ROOT + 1; index < MOST_NODES; index++) {
      struct node *node = &nodes[index];
      if (node->lookups && !strcmp(node->name, from)) snprintf(node->name, sizeof node->name, "%s", to);
    }
  }
  pthread_mutex_unlock(&lock);
  reply_error(request, error);
}

static void serve_unlink(const struct request *request) {
  const char *name = request->arguments;
  int error = 0;
  pthread_mutex_lock(&lock);
  if (unlinkat(backing, name, 0)) error = errno;
  else forget_name(name);
  pthread_mutex_unlock(&lock);
  reply_error(request, error);
}

static void serve_statfs(const struct request *request) {
  struct statvfs status;
  if (fstatvfs(backing, &status)) return reply_error(request, errno);
  struct fuse_statfs_out out = {.st = {.blocks = status.f_blocks,
                                       .bfree = status.f_bfree,
                                       .bavail = status.f_bavail,
                                       .bsize = 4096,
                                       .frsize = (uint32_t)status.f_frsize,
                                       .namelen = 255}};
  reply(request, 0, &out, sizeof out);
}

static void serve(const struct request *request, uint32_t opcode) {
  switch (opcode) {
  case FUSE_LOOKUP: return serve_name(request, request->arguments, 0, 0);
  case FUSE_GETATTR: return reply_attributes(request);
  case FUSE_SETATTR: return serve_setattr(request);
  case FUSE_CREATE: return serve_create(request);
  case FUSE_OPEN: return serve_open(request);
  case FUSE_OPENDIR: return reply_open(request, 0);
  case FUSE_READ: return serve_read(request);
  case FUSE_WRITE: return serve_write(request);
  case FUSE_FSYNC: {
    int error = error_of(FSYNC);
    return reply_error(request, error ? error : fsync(descriptor_of(request)) ? errno : 0);
  }
  case FUSE_FSYNCDIR: return reply_error(request, error_of(FSYNCDIR));
  case FUSE_FLUSH:
  case FUSE_RELEASE:
  case FUSE_RELEASEDIR: return reply_error(request, 0);
  case FUSE_RENAME:
  case FUSE_RENAME2: return serve_rename(request);
  case FUSE_UNLINK: return serve_unlink(request);
  case FUSE_STATFS: return serve_statfs(request);
  // Tests list BACKING itself.
  default: return reply_error(request, ENOSYS);
  }
}

static int obey_own(const char *command) {
  (void)command;
  return 0;
}

static int set_flag(const char *flag) {
  if (!strcmp(flag, "cached")) open_flags = 0;
  else if (!strcmp(flag, "no-async-dio")) wanted_features &= ~(uint32_t)FUSE_ASYNC_DIO;
  else if (!strcmp(flag, "serial")) open_flags &= ~(uint32_t)FOPEN_PARALLEL_DIRECT_WRITES;
  else if (!strcmp(flag, "writeback")) wanted_features |= FUSE_WRITEBACK_CACHE;
  else if (!strcmp(flag, "lose-renamed")) loses_renamed = 1;
  else if (!strcmp(flag, "no-size")) hides_size = 1;
  else return 0;
  return 1;
}

int main(int count, char **arguments) {
  int known = count >= 3;
  for (int index = 3; index < count; index++) known &= set_flag(arguments[index]);
  if (!known) {
    fprintf(stderr, "usage: faultfs DIRECTORY BACKING [FLAG...]\n");
    return 2;
  }
  backing = open(arguments[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (backing < 0) {
    perror(arguments[2]);
    return 1;
  }
  umask(0);
  return run_server("faultfs", arguments[1]);
}
