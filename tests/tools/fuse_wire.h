// The part of a FUSE server that has nothing to do with what it serves: mounting, reading requests from
// /dev/fuse on a few threads, answering them, and faults. Speaks the kernel's protocol directly (fuse(4),
// linux/fuse.h), so that a C compiler is all that it takes to build.
//
// The server obeys commands on its standard input, one a line, and answers each with a line. When the input
// ends, so does it, as soon as nobody uses its files any more: whoever started it cannot leave it behind.
//
//   fault OPERATION NTH err ERRNO [COUNT]      the NTH such operation from now on fails; 0 stands for every one
//   fault read|write NTH short BYTES [COUNT]   it moves no more than so many bytes
//   fault OPERATION NTH delay MILLISECONDS [COUNT]
//   err OPERATION FROM TO ERRNO [COUNT]        those that touch these bytes fail, COUNT times or always; 0 0 are all
//   delay OPERATION MILLISECONDS               every one takes so long
//   clear                                      takes all faults back
//   stat                                       counts of each operation, and how many faults fired

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

// ---- faults -------------------------------------------------------------------------------------------------------

// The names of the operations that a fault can meet, as the server numbers them.
static const char *const operation_names[];
enum { MOST_OPERATIONS = 16, MOST_RULES = 32 };

struct rule {
  int operation;
  char kind; // 'e': an error, 's': short, 'd': a delay
  long nth, value;
  long count; // below 0: for ever
  uint64_t from, to;
};

// What shall happen to an operation: its error, or 0, and how many bytes it moves at most.
struct fate {
  int error;
  size_t most;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[MOST_RULES];
static int rule_count;
static unsigned long seen[MOST_OPERATIONS], fired;

// Counts an operation on some bytes, and says what shall happen to it. A delay happens here.
static struct fate meet(int operation, uint64_t from, uint64_t to) {
  struct fate fate = {.most = SIZE_MAX};
  useconds_t delay = 0;
  pthread_mutex_lock(&lock);
  seen[operation]++;
  for (struct rule *rule = rules; rule < rules + rule_count; rule++) {
    if (rule->operation != operation || rule->count == 0 || from >= rule->to || to <= rule->from) continue;
    if (rule->nth > 1) {
      rule->nth--;
      continue;
    }
    if (rule->count > 0) rule->count--;
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
  char name[16], kind[8] = "err";
  struct rule rule = {.count = 1, .to = UINT64_MAX};
  long *value = &rule.value, *count = &rule.count;
  if (sscanf(command, "fault %15s %ld %7s %ld %ld", name, &rule.nth, kind, value, count) >= 4) {
    if (rule.nth == 0) rule.count = -1;
  } else {
    rule.count = -1;
    if (sscanf(command, "delay %15s %ld", name, value) == 2) *kind = 'd';
    else if (sscanf(command, "err %15s %lu %lu %ld %ld", name, &rule.from, &rule.to, value, count) < 4) return 0;
    if (rule.to == 0) rule.to = UINT64_MAX;
  }
  rule.kind = *kind;
  for (int operation = 0; operation_names[operation]; operation++) {
    if (strcmp(operation_names[operation], name)) continue;
    rule.operation = operation;
    if (rule_count == MOST_RULES) return 0;
    rules[rule_count++] = rule;
    return 1;
  }
  return 0;
}

// Obeys a command that only this server knows, and prints the answer. Returns whether it does.
static int obey_own(const char *command);

static void obey(const char *command) {
  pthread_mutex_lock(&lock);
  if (!strcmp(command, "clear")) {
    rule_count = 0;
    printf("ok\n");
  } else if (!strcmp(command, "stat")) {
    for (int operation = 0; operation_names[operation]; operation++) {
      printf("%s %lu ", operation_names[operation], seen[operation]);
    }
    printf("fired %lu\n", fired);
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
  // What stands on a disk without an answer could not be taken down in order.
  for (int tried = 0; umount2(where, 0) && errno == EBUSY && tried < 600; tried++) usleep(100000);
  umount2(where, MNT_DETACH);
  return 0;
}
