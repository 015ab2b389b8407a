// faultfs DIRECTORY BACKING [FLAG...]
//
// A FUSE file system on DIRECTORY with the files of BACKING, which has no folders. It fails, shortens or delays
// operations. It speaks the kernel's protocol itself (fuse(4), linux/fuse.h), so that only a C compiler is needed.
//
// Flags are requests to the kernel, and ways of answering:
//   cached         no FOPEN_DIRECT_IO: the kernel's page cache is used
//   no-async-dio   no FUSE_ASYNC_DIO
//   serial         no FOPEN_PARALLEL_DIRECT_WRITES
//   writeback      FUSE_WRITEBACK_CACHE
//   lose-renamed   a rename succeeds and removes the file
//   permissions    the kernel checks the permissions, for which it asks for attributes (default_permissions)
//   in-order       only writes at the end of a file succeed
//   names          the kernel remembers names and attributes for an hour
//   no-size        every file has the length 0, as on servers that do not know its length
//   disk           the bytes of the only file, "disk", are in memory, for a loop device. Like a real disk it has a volatile
//                  cache: written bytes are durable only after fsync. "fault fsync short 0" makes a disk that lies
//
// Each line of standard input is a command, and is answered with a line. At the end of the input the server ends, as
// soon as its files are no longer in use.
//
//   fault OPERATION err|short|delay VALUE [COUNT [FROM TO]]
//          It fails with the error VALUE, moves at most VALUE bytes, or takes VALUE milliseconds more: COUNT times,
//          by default (0) always, and only if it touches these bytes.
//   clear  Removes all faults.
//   snap PATH SEED PERCENT UNIT
//          Writes the image that a power cut would leave of the disk to PATH: what is durable, and each volatile piece of
//          UNIT bytes with a probability of PERCENT.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SERVER_THREADS = 8, LARGEST_WRITE = 1 << 20, REQUEST_ROOM = LARGEST_WRITE + 65536 };

static void give_up(const char *what) {
  perror(what);
  exit(1);
}

static size_t smaller(size_t length, size_t most) { return length < most ? length : most; }

static int backing;

// ---- faults -------------------------------------------------------------------------------------------------------

enum { MOST_RULES = 32 };

// The operations that can have faults.
enum { OPEN, READ, WRITE, FSYNC, RENAME, FSYNCDIR, FLUSH };
static const char *const operation_names[] = {"open", "read", "write", "fsync", "rename", "fsyncdir", "flush", 0};

struct rule {
  int operation;
  char kind; // the first letter of its name
  long value, left; // below 0: always
  uint64_t from, to;
};

// The fate of an operation: its error, or 0, and the maximum number of bytes that it moves.
struct fate {
  int error;
  size_t most;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[MOST_RULES];
static int rule_count;

// Determines the fate of an operation on these bytes. A delay happens here.
static struct fate meet(int operation, uint64_t from, uint64_t to) {
  struct fate fate = {.most = SIZE_MAX};
  useconds_t delay = 0;
  pthread_mutex_lock(&lock);
  for (struct rule *rule = rules; rule < rules + rule_count; rule++) {
    if (rule->operation != operation || rule->left == 0 || from >= rule->to || to <= rule->from) continue;
    if (rule->left > 0) rule->left--;
    if (rule->kind == 'd') delay += (useconds_t)rule->value * 1000;
    else if (rule->kind == 's') fate.most = (size_t)rule->value;
    else fate.error = (int)rule->value;
  }
  pthread_mutex_unlock(&lock);
  if (delay) usleep(delay);
  return fate;
}

static int add_rule(const char *command) {
  char name[16], kind[8];
  struct rule rule = {.to = UINT64_MAX};
  int fields = sscanf(command, "fault %15s %7s %ld %ld %lu %lu", name, kind, &rule.value, &rule.left, &rule.from,
                      &rule.to);
  if (fields < 3 || rule_count == MOST_RULES) return 0;
  rule.kind = *kind;
  if (rule.left == 0) rule.left = -1;
  while (operation_names[rule.operation] && strcmp(operation_names[rule.operation], name)) rule.operation++;
  if (!operation_names[rule.operation]) return 0;
  rules[rule_count++] = rule;
  return 1;
}

// The fate of an operation that moves no bytes.
static int error_of(int operation) { return meet(operation, 0, UINT64_MAX).error; }

// ---- the disk -----------------------------------------------------------------------------------------------------

enum { SECTOR = 512 };

// Of each sector: whether it was ever written, and whether it is still volatile.
enum { WRITTEN = 1, VOLATILE = 2 };

static uint64_t size;
static char *current, *durable; // NULL without a disk
static uint8_t *sectors;

static void *zeros(void) {
  void *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) give_up("mmap");
  return memory;
}

static void make_disk(void) {
  struct stat status;
  if (fstatat(backing, "disk", &status, 0)) give_up("disk");
  size = (uint64_t)status.st_size;
  current = zeros();
  durable = zeros();
  sectors = calloc(1, size / SECTOR);
  // The kernel writes dirty pages through this process: it must not wait for that itself (prctl(2)).
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

static ssize_t write_disk(uint64_t offset, const char *bytes, size_t length) {
  pthread_mutex_lock(&lock);
  memcpy(current + offset, bytes, length);
  memset(sectors + offset / SECTOR, WRITTEN | VOLATILE, (length + SECTOR - 1) / SECTOR);
  pthread_mutex_unlock(&lock);
  return (ssize_t)length;
}

// Making a file system first discards all of the disk, which is zeros already.
static void zero_disk(uint64_t offset, uint64_t length) {
  pthread_mutex_lock(&lock);
  for (uint64_t index = offset / SECTOR; index < (offset + length) / SECTOR; index++) {
    if (!sectors[index]) continue;
    memset(current + index * SECTOR, 0, SECTOR);
    sectors[index] = WRITTEN | VOLATILE;
  }
  pthread_mutex_unlock(&lock);
}

static int flush_disk(void) {
  pthread_mutex_lock(&lock);
  for (uint64_t index = 0; index < size / SECTOR; index++) {
    if (!(sectors[index] & VOLATILE)) continue;
    memcpy(durable + index * SECTOR, current + index * SECTOR, SECTOR);
    sectors[index] = WRITTEN;
  }
  pthread_mutex_unlock(&lock);
  return 0;
}

static int snap(const char *command) {
  char path[2048];
  unsigned seed, percent, unit;
  if (sscanf(command, "snap %2047s %u %u %u", path, &seed, &percent, &unit) != 4) return 0;
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

// ---- files --------------------------------------------------------------------------------------------------------

enum { ROOT = 1, MOST_NODES = 4096 };

// A file that was looked up, or the directory that is mounted. Its number is its index. It stays open to the end.
struct node {
  char name[256];
  int descriptor;
};

static struct node nodes[MOST_NODES];
static long node_count = ROOT + 1;

// The number of the file of this name, or -errno.
static long find_node(const char *name, int flags, mode_t mode) {
  pthread_mutex_lock(&lock);
  long found = ROOT + 1;
  while (found < node_count && strcmp(nodes[found].name, name)) found++;
  if (found == node_count) {
    struct node *node = &nodes[found];
    errno = ENFILE;
    int descriptor = found < MOST_NODES ? openat(backing, name, O_RDWR | O_CLOEXEC | flags, mode) : -1;
    if (descriptor < 0) {
      found = -errno;
    } else {
      node->descriptor = descriptor;
      snprintf(node->name, sizeof node->name, "%s", name);
      node_count++;
    }
  }
  pthread_mutex_unlock(&lock);
  return found;
}

// Gives the known file of a name another one, or none. It stays, because it may be open.
static void change_name(const char *from, const char *to) {
  for (struct node *node = nodes; node < nodes + node_count; node++) {
    if (!strcmp(node->name, from)) snprintf(node->name, sizeof node->name, "%s", to);
  }
}

// ---- answers ------------------------------------------------------------------------------------------------------

// One request of the kernel: the fixed part of its arguments, and what follows that.
struct request {
  const struct fuse_in_header *header;
  const void *arguments;
  const char *rest;
};

static int fuse_device;

static uint32_t open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
static int loses_renamed, hides_size, has_disk, wants_order;
static uint64_t names_valid;
static const char *more_options = "";

// The features that the server requests. libfuse requests FUSE_ASYNC_DIO too.
static uint32_t wanted_features = FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_PARALLEL_DIROPS | FUSE_ASYNC_DIO;

static void reply(const struct request *request, int error, const void *data, size_t length) {
  struct fuse_out_header out = {
      .len = (uint32_t)(sizeof out + length), .error = -error, .unique = request->header->unique};
  struct iovec parts[2] = {{&out, sizeof out}, {(void *)data, length}};
  // ENOENT: the request was interrupted.
  if (writev(fuse_device, parts, 2) < 0 && errno != ENOENT) perror("reply");
}

static void reply_error(const struct request *request, int error) { reply(request, error, 0, 0); }

static int descriptor_of(const struct request *request) { return nodes[request->header->nodeid].descriptor; }

static int attributes(uint64_t node, struct fuse_attr *attr) {
  struct stat status;
  if (fstat(nodes[node].descriptor, &status)) return errno;
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

static void reply_attributes(const struct request *request) {
  struct fuse_attr_out out = {.attr_valid = names_valid};
  int error = attributes(request->header->nodeid, &out.attr);
  error ? reply_error(request, error) : reply(request, 0, &out, sizeof out);
}

// Answers with the file of this number. The answer to FUSE_CREATE also has the flags of the open file.
static void reply_entry(const struct request *request, uint64_t node) {
  struct {
    struct fuse_entry_out entry;
    struct fuse_open_out open;
  } out = {.entry = {.nodeid = node, .entry_valid = names_valid, .attr_valid = names_valid}, .open.open_flags = open_flags};
  int error = attributes(node, &out.entry.attr);
  size_t length = request->header->opcode == FUSE_CREATE ? sizeof out : sizeof out.entry;
  error ? reply_error(request, error) : reply(request, 0, &out, length);
}

static void reply_open(const struct request *request) {
  struct fuse_open_out out = {.open_flags = open_flags};
  reply(request, 0, &out, sizeof out);
}

static void reply_init(const struct request *request) {
  const struct fuse_init_in *in = request->arguments;
  struct fuse_init_out out = {
      .major = FUSE_KERNEL_VERSION,
      .minor = FUSE_KERNEL_MINOR_VERSION,
      .max_readahead = in->max_readahead,
      .flags = in->flags & wanted_features,
      .max_background = 64,
      .congestion_threshold = 48,
      .max_write = LARGEST_WRITE,
      .max_pages = LARGEST_WRITE / 4096,
      .time_gran = 1,
  };
  reply(request, 0, &out, sizeof out);
}

// ---- requests -----------------------------------------------------------------------------------------------------

// Answers with the file of a name. Flags may create it.
static void serve_name(const struct request *request, const char *name, int flags, mode_t mode) {
  long node = find_node(name, flags, mode);
  node < 0 ? reply_error(request, (int)-node) : reply_entry(request, (uint64_t)node);
}

static void serve_create(const struct request *request) {
  const struct fuse_create_in *in = request->arguments;
  int error = error_of(OPEN);
  if (error) return reply_error(request, error);
  serve_name(request, request->rest, O_CREAT | (int)(in->flags & O_EXCL), in->mode & 07777);
}

static void serve_open(const struct request *request) {
  int error = error_of(OPEN);
  error ? reply_error(request, error) : reply_open(request);
}

static void serve_read(const struct request *request) {
  const struct fuse_read_in *in = request->arguments;
  struct fate fate = meet(READ, in->offset, in->offset + in->size);
  if (fate.error) return reply_error(request, fate.error);
  if (current) return reply(request, 0, current + in->offset, smaller(in->size, size - in->offset));
  char *bytes = malloc(in->size);
  ssize_t length = pread(descriptor_of(request), bytes, smaller(in->size, fate.most), (off_t)in->offset);
  length < 0 ? reply_error(request, errno) : reply(request, 0, bytes, (size_t)length);
  free(bytes);
}

static void serve_write(const struct request *request) {
  const struct fuse_write_in *in = request->arguments;
  struct fate fate = meet(WRITE, in->offset, in->offset + in->size);
  struct stat status = {0};
  if (wants_order && (fstat(descriptor_of(request), &status) || (uint64_t)status.st_size != in->offset)) fate.error = EINVAL;
  if (fate.error) return reply_error(request, fate.error);
  size_t most = smaller(in->size, fate.most);
  ssize_t length = current ? write_disk(in->offset, request->rest, most)
                           : pwrite(descriptor_of(request), request->rest, most, (off_t)in->offset);
  struct fuse_write_out out = {.size = (uint32_t)length};
  length < 0 ? reply_error(request, errno) : reply(request, 0, &out, sizeof out);
}

static void serve_fsync(const struct request *request) {
  struct fate fate = meet(FSYNC, 0, UINT64_MAX);
  if (!fate.error && fate.most > 0 && (current ? flush_disk() : fsync(descriptor_of(request)))) fate.error = errno;
  reply_error(request, fate.error);
}

// A loop device discards and zeroes by punching holes.
static void serve_fallocate(const struct request *request) {
  const struct fuse_fallocate_in *in = request->arguments;
  if (!current) return reply_error(request, ENOSYS);
  int error = meet(WRITE, in->offset, in->offset + in->length).error;
  if (!error) zero_disk(in->offset, in->length);
  reply_error(request, error);
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
    change_name(to, "");
    change_name(from, loses_renamed ? "" : to);
  }
  pthread_mutex_unlock(&lock);
  reply_error(request, error);
}

static void serve_unlink(const struct request *request) {
  const char *name = request->arguments;
  int error = 0;
  pthread_mutex_lock(&lock);
  if (unlinkat(backing, name, 0)) error = errno;
  else change_name(name, "");
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
  case FUSE_OPENDIR: return reply_open(request);
  case FUSE_READ: return serve_read(request);
  case FUSE_WRITE: return serve_write(request);
  case FUSE_FSYNC: return serve_fsync(request);
  case FUSE_FSYNCDIR: return reply_error(request, error_of(FSYNCDIR));
  case FUSE_FLUSH: return reply_error(request, error_of(FLUSH));
  case FUSE_RELEASE:
  case FUSE_RELEASEDIR: return reply_error(request, 0);
  case FUSE_RENAME: return serve_rename(request);
  case FUSE_UNLINK: return serve_unlink(request);
  case FUSE_STATFS: return serve_statfs(request);
  case FUSE_FALLOCATE: return serve_fallocate(request);
  // Tests list BACKING itself.
  default: return reply_error(request, ENOSYS);
  }
}

// Bytes of fixed arguments before the data or the name.
static size_t fixed_length(uint32_t opcode) {
  switch (opcode) {
  case FUSE_WRITE: return sizeof(struct fuse_write_in);
  case FUSE_CREATE: return sizeof(struct fuse_create_in);
  case FUSE_RENAME: return sizeof(struct fuse_rename_in);
  default: return 0;
  }
}

static void *serve_requests(void *unused) {
  char *room = malloc(REQUEST_ROOM);
  for (;;) {
    ssize_t length = read(fuse_device, room, REQUEST_ROOM);
    if (length < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
    if (length <= 0) break;
    struct request request = {.header = (const struct fuse_in_header *)room};
    request.arguments = room + sizeof *request.header;
    request.rest = (const char *)request.arguments + fixed_length(request.header->opcode);
    switch (request.header->opcode) {
    case FUSE_INIT: reply_init(&request); break;
    // These ask for no answer.
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break;
    case FUSE_DESTROY: reply_error(&request, 0); break;
    default: serve(&request, request.header->opcode);
    }
  }
  free(room);
  return unused;
}

// ---- commands -----------------------------------------------------------------------------------------------------

static void obey(const char *command) {
  pthread_mutex_lock(&lock);
  int clears = !strcmp(command, "clear");
  if (clears) rule_count = 0;
  printf(clears || add_rule(command) || snap(command) ? "ok\n" : "error %s\n", strerror(errno));
  pthread_mutex_unlock(&lock);
}

static int set_flag(const char *flag) {
  if (!strcmp(flag, "cached")) open_flags = 0;
  else if (!strcmp(flag, "no-async-dio")) wanted_features &= ~(uint32_t)FUSE_ASYNC_DIO;
  else if (!strcmp(flag, "serial")) open_flags &= ~(uint32_t)FOPEN_PARALLEL_DIRECT_WRITES;
  else if (!strcmp(flag, "writeback")) wanted_features |= FUSE_WRITEBACK_CACHE;
  else if (!strcmp(flag, "lose-renamed")) loses_renamed = 1;
  else if (!strcmp(flag, "permissions")) more_options = ",default_permissions";
  else if (!strcmp(flag, "in-order")) wants_order = 1;
  else if (!strcmp(flag, "names")) names_valid = 3600;
  else if (!strcmp(flag, "no-size")) hides_size = 1;
  else if (!strcmp(flag, "disk")) has_disk = 1;
  else return 0;
  return 1;
}

static void mount_at(const char *path) {
  fuse_device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse_device < 0) give_up("/dev/fuse");
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other%s", fuse_device, more_options);
  if (mount("faultfs", path, "fuse", MS_NOSUID | MS_NODEV, options)) give_up("mount");
}

int main(int count, char **arguments) {
  int known = count >= 3;
  for (int index = 3; index < count; index++) known &= set_flag(arguments[index]);
  if (!known) {
    fprintf(stderr, "usage: faultfs DIRECTORY BACKING [FLAG...]\n");
    return 2;
  }
  backing = nodes[ROOT].descriptor = open(arguments[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (backing < 0) give_up(arguments[2]);
  if (has_disk) make_disk();
  umask(0);
  mount_at(arguments[1]);
  for (int index = 0; index < SERVER_THREADS; index++) {
    pthread_t thread;
    pthread_create(&thread, 0, serve_requests, 0);
  }
  printf("mounted\n");
  fflush(stdout);
  char line[4096];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    obey(line);
    fflush(stdout);
  }
  // A file system on it is unmounted first, and must still get answers.
  for (int tried = 0; umount2(arguments[1], 0) && errno == EBUSY && tried < 600; tried++) usleep(100000);
  umount2(arguments[1], MNT_DETACH);
  return 0;
}
