// Measures the system calls alone for small durable files, on threads: the upper limit for any runtime.
//
//   files DIRECTORY COUNT LENGTH THREADS NAMES      NAMES 1: the directory is synced after each file as well
//
// Prints one line of JSON, as the other programs do.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, MOST_THREADS = 256 };

static const char *directory;
static int count, next, names;
static size_t length;

static void check(long result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

static void *work(void *unused) {
  void *bytes;
  if (posix_memalign(&bytes, BLOCK, length)) exit(1);
  memset(bytes, 7, length);
  int folder = open(directory, O_RDONLY | O_DIRECTORY);
  check(folder, directory);
  for (;;) {
    int index = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);
    if (index >= count) break;
    char name[32];
    snprintf(name, sizeof name, "%d", index);
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT, 0666);
    check(file, "open");
    check(pwrite(file, bytes, length, 0) == (ssize_t)length ? 0 : -1, "write");
    check(fdatasync(file), "fdatasync");
    check(close(file), "close");
    if (names) check(fsync(folder), "fsync");
  }
  close(folder);
  free(bytes);
  return unused;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int many, char **arguments) {
  if (many < 6) {
    fprintf(stderr, "usage: files DIRECTORY COUNT LENGTH THREADS NAMES\n");
    return 2;
  }
  directory = arguments[1];
  count = atoi(arguments[2]);
  length = (size_t)atol(arguments[3]);
  int threads = atoi(arguments[4]);
  names = atoi(arguments[5]);
  if (threads < 1 || threads > MOST_THREADS || length % BLOCK || length == 0) return 2;
  check(mkdir(directory, 0777), directory);
  pthread_t all[MOST_THREADS];
  double began = now();
  for (int index = 0; index < threads; index++) {
    if (pthread_create(&all[index], NULL, work, NULL)) return 1;
  }
  for (int index = 0; index < threads; index++) pthread_join(all[index], NULL);
  double seconds = now() - began;
  printf("{\"bytes\":%zu,\"count\":%d,\"seconds\":%.6f}\n", (size_t)count * length, count, seconds);
  return 0;
}
