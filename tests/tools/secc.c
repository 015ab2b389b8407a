// secc [enter|memfd|openat2|data] ERRNO PROGRAM ARGUMENT...
//
// Runs a program with io_uring refused, as container runtimes refuse it: by a seccomp filter that gives ERRNO for its
// three system calls, or with `enter` for io_uring_enter alone. With `memfd` files in memory are refused, as by hardened
// systems, with `openat2` opens with limits, as by container runtimes that do not know them, and with `data` the search
// for data by lseek. Needs no root, and lasts for the program and its children.

#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **arguments) {
  // io_uring_setup, io_uring_enter and io_uring_register follow each other on every architecture.
  unsigned first = SYS_io_uring_setup, last = SYS_io_uring_register;
  int named = 1;
  if (count > 1 && strcmp(arguments[1], "enter") == 0) first = last = SYS_io_uring_enter;
  else if (count > 1 && strcmp(arguments[1], "memfd") == 0) first = last = SYS_memfd_create;
  else if (count > 1 && strcmp(arguments[1], "openat2") == 0) first = last = SYS_openat2;
  else if (count > 1 && strcmp(arguments[1], "data") == 0) first = last = SYS_lseek;
  else named = 0;
  arguments += named;
  if (count - named < 3) {
    fprintf(stderr, "usage: secc [enter|memfd|openat2|data] ERRNO PROGRAM ARGUMENT...\n");
    return 2;
  }
  unsigned refusal = SECCOMP_RET_ERRNO | ((unsigned)atoi(arguments[1]) & SECCOMP_RET_DATA);
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 5),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_lseek, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SEEK_DATA, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, refusal),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  // Without the right to gain privileges, anybody may install a filter (seccomp(2)).
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
    perror("seccomp");
    return 1;
  }
  execvp(arguments[2], arguments + 2);
  perror(arguments[2]);
  return 127;
}
