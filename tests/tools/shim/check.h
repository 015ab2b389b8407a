// What every part of the shim's self-test uses: the shim's functions, found by name in the very bytes that
// ship, and checks that go on after a failure so that one run tells all of them.
//
// Compiled with -D_GNU_SOURCE: the flags that only Linux has are what is tested.

#include <math.h>
#include <stdint.h>

#include <liburing.h>

// As ffi/shim.c numbers them. Written down again: a number that changes there must fail here.
enum {
  CALL_EVENTFD = 257,
  CALL_AWAIT_SIGNAL = 261,
  CALL_IS_MAIN_THREAD = 266,
  CALL_WAIT_RING,
  CALL_STATX_CACHED = 269,
  CALL_CLOSE_SMALL,
  CALL_RESERVE,
  CALL_REOPEN,
};

#define MAX_EXACT 9007199254740991.0

// The shim's functions, each named dma_….
struct shim {
  uint32_t (*abi)(void);
  double (*map)(double length, uint32_t huge);
  int32_t (*unmap)(double address, double length);
  int32_t (*prepare)(struct io_uring *ring, uint32_t opcode, uint32_t flags, int32_t fd, double address,
                     uint32_t length, double offset, uint32_t op_flags, uint32_t buffer_index,
                     uint32_t user_data);
  int32_t (*reap)(struct io_uring *ring, int32_t *out, uint32_t most);
  int32_t (*call)(uint32_t opcode, int32_t fd, double address, uint32_t length, double offset, uint32_t flags);
  int32_t (*call_on_thread)(void *resources, uint32_t place, uint32_t opcode, int32_t fd, double address,
                            uint32_t length, double offset, uint32_t flags);
  void (*on_thread_exit)(void *resources);
};

extern struct shim shim;
// Under user-mode emulation some facts are the emulator's and not the processor's.
extern int emulated;

// An address as it crosses from JavaScript.
#define AT(pointer) ((double)(uintptr_t)(pointer))

#define FOR_EACH(index, array) for (size_t index = 0; index < sizeof(array) / sizeof *(array); index++)

// What is no number of bytes, and no place.
static const double no_number[] = {-1, -4096, 0.5, 4096.5, MAX_EXACT + 1, 1e300, INFINITY, -INFINITY, NAN};

// Operations that move bytes.
static const uint8_t movers[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED};

#define CHECK(condition) check(!!(condition), #condition, __FILE__, __LINE__)
#define EQUAL(actual, expected) equal((double)(actual), (double)(expected), #actual, __FILE__, __LINE__)

int check(int holds, const char *text, const char *file, int line);
int equal(double actual, double expected, const char *text, const char *file, int line);
// Whether the kernel finds memory there. Asking it does no harm where it does not.
int mapped(double address);
// Functions of the system's liburing. Ends the test as one that cannot be done here if there is none.
void load_liburing(void);
extern int (*ring_init)(unsigned entries, struct io_uring *ring, unsigned flags);
extern int (*ring_submit)(struct io_uring *ring);
extern int (*ring_watch)(struct io_uring *ring, int eventfd);
extern void (*ring_exit)(struct io_uring *ring);
// Ends the whole test: what follows would mean nothing.
_Noreturn void give_up(const char *what);
// Ends the whole test as one that cannot be done here.
_Noreturn void skip(const char *why);

void test_memory(void);
void test_calls(void);
void test_prepare(void);
void test_reap(void);
void test_ring(void);
void test_thread_end(void);
void test_ring_end(void);
