// The common part of the FUSE servers: it mounts, reads requests from /dev/fuse on a few threads, answers them, and
// injects faults. It speaks the kernel's protocol itself (fuse(4), linux/fuse.h), so that only a C compiler is needed.
//
// Each line of standard input is a command, and is answered with a line. At the end of the input the server ends, as
// soon as its files are no longer in use.
//
//   fault OPERATION err|short|delay VALUE [COUNT [FROM TO]]
//          It fails with the error VALUE, moves at most VALUE bytes, or takes VALUE milliseconds more: COUNT times,
//          by default (0) always, and only if it touches these bytes.
//   clear  Removes all faults.
//   fired  Prints the number of faults so far.

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
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

enum { ROOT = 1 }; // the number of the directory that is mounted

static int fuse_device;

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

// The rest is a server's own.

// Its operations that can have faults.
static const char *const operation_names[];

// Serves a request: answers it with one of the functions reply….
static void serve(const struct request *request, uint32_t opcode);

// Fills the attributes of a file. Returns an error, or 0.
static int attributes(uint64_t node, struct fuse_attr *attr);

// The kernel drops so many of its references to a file.
static void forget(uint64_t node, uint64_t lookups);

// Obeys a command of this server, and prints the answer. Returns whether there is such a command.
static int obey_own(const char *command);

static void reply_attributes(const struct request *request) {
  struct fuse_attr_out out = {0};
  int error = attributes(request->header->nodeid, &out.attr);
  error ? reply_error(request, error) : reply(request, 0, &out, sizeof out);
}

// Answers with the file of this number. The answer to FUSE_CREATE also has the flags of the open file.
static void reply_entry(const struct request *request, uint64_t node, uint32_t open_flags) {
  struct {
    struct fuse_entry_out entry;
    struct fuse_open_out open;
  } out = {.entry.nodeid = node, .open.open_flags = open_flags};
  int error = attributes(node, &out.entry.attr);
  size_t length = request->header->opcode == FUSE_CREATE ? sizeof out : sizeof out.entry;
  error ? reply_error(request, error) : reply(request, 0, &out, length);
}

static void reply_open(const struct request *request, uint32_t open_flags) {
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

// Bytes of fixed arguments before the data or the name.
static size_t fixed_length(uint32_t opcode) {
  switch (opcode) {
  case FUSE_WRITE: return sizeof(struct fuse_write_in);
  case FUSE_CREATE: return sizeof(struct fuse_create_in);
  case FUSE_RENAME: return sizeof(struct fuse_rename_in);
  case FUSE_RENAME2: return sizeof(struct fuse_rename2_in);
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

// ---- faults -------------------------------------------------------------------------------------------------------

enum { MOST_RULES = 32 };

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
static unsigned long fired;

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
    fired++;
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

static void obey(const char *command) {
  pthread_mutex_lock(&lock);
  if (!strcmp(command, "clear")) {
    rule_count = 0;
    printf("ok\n");
  } else if (!strcmp(command, "fired")) {
    printf("%lu\n", fired);
  } else if (add_rule(command)) {
    printf("ok\n");
  } else if (!obey_own(command)) {
    printf("error unknown command: %s\n", command);
  }
  pthread_mutex_unlock(&lock);
}

// -------------------------------------------------------------------------------------------------------------------

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
  // A file system on it is unmounted first, and must still get answers.
  for (int tried = 0; umount2(where, 0) && errno == EBUSY && tried < 600; tried++) usleep(100000);
  umount2(where, MNT_DETACH);
  return 0;
}
