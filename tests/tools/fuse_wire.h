// The part of a FUSE server that has nothing to do with what it serves: mounting, reading requests from
// /dev/fuse on a few threads, and answering them. Speaks the kernel's protocol directly (fuse(4),
// linux/fuse.h), so that a C compiler is all that it takes to build.
//
// The server obeys commands on its standard input, one a line, and answers each with a line. When the input
// ends, so does it, as soon as nobody uses its files any more: whoever started it cannot leave it behind.

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SERVER_THREADS = 8, LARGEST_WRITE = 1 << 20, REQUEST_ROOM = LARGEST_WRITE + 65536 };

// One request of the kernel: the fixed part of its arguments, and what follows that.
struct request {
  const struct fuse_in_header *header;
  const void *arguments;
  const char *rest;
};

static int fuse_device;

// What the server asks of the kernel when it is mounted. FUSE_ASYNC_DIO as libfuse has it.
static uint32_t wanted_features = FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_PARALLEL_DIROPS | FUSE_ASYNC_DIO;

static void reply(const struct request *request, int error, const void *data, size_t length) {
  struct fuse_out_header out = {
      .len = (uint32_t)(sizeof out + length), .error = -error, .unique = request->header->unique};
  struct iovec parts[2] = {{&out, sizeof out}, {(void *)data, length}};
  // A request that was interrupted has nobody left who wants the answer.
  if (writev(fuse_device, parts, 2) < 0 && errno != ENOENT) perror("reply");
}

static void reply_error(const struct request *request, int error) { reply(request, error, 0, 0); }

// The kernel forgets a file that it looked up so many times; no answer.
static void forget(uint64_t node, uint64_t lookups);

// What the server serves. Answers the request with `reply` or `reply_error`.
static void serve(const struct request *request, uint32_t opcode);

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

// Bytes of fixed arguments before the data or the name.
static size_t fixed_length(uint32_t opcode) {
  switch (opcode) {
  case FUSE_WRITE: return sizeof(struct fuse_write_in);
  case FUSE_CREATE: return sizeof(struct fuse_create_in);
  case FUSE_RENAME: return sizeof(struct fuse_rename_in);
  case FUSE_RENAME2: return sizeof(struct fuse_rename2_in);
  case FUSE_LINK: return sizeof(struct fuse_link_in);
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
    case FUSE_FORGET: {
      const struct fuse_forget_in *in = request.arguments;
      forget(request.header->nodeid, in->nlookup);
      break;
    }
    case FUSE_BATCH_FORGET: {
      const struct fuse_batch_forget_in *in = request.arguments;
      const struct fuse_forget_one *each = (const void *)(in + 1);
      for (uint32_t index = 0; index < in->count; index++) forget(each[index].nodeid, each[index].nlookup);
      break;
    }
    case FUSE_INTERRUPT: break; // asks for haste, and for no answer
    case FUSE_DESTROY: reply_error(&request, 0); break;
    default: serve(&request, request.header->opcode);
    }
  }
  free(room);
  return unused;
}

static void mount_or_exit(const char *name, const char *where) {
  fuse_device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse_device < 0) {
    perror("/dev/fuse");
    exit(1);
  }
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse_device);
  if (mount(name, where, "fuse", MS_NOSUID | MS_NODEV, options)) {
    perror("mount");
    exit(1);
  }
}

// Obeys one command; what it prints is the answer, one line.
static void obey(char *command);

// Mounts, serves and obeys until the input ends.
static int run_server(const char *name, const char *where) {
  mount_or_exit(name, where);
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
  // What stands on a disk without an answer could not be taken down in order.
  for (int tried = 0; umount2(where, 0) && errno == EBUSY && tried < 600; tried++) usleep(100000);
  umount2(where, MNT_DETACH);
  return 0;
}
