// The shim as a file: for this processor, linked against nothing, and never to be unloaded.

#include "check.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define LARGEST_PAGE 4096
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#define LARGEST_PAGE 65536
#endif

static void check_dynamic(const Elf64_Dyn *entry) {
  int needed = 0, keeps = 0, text_relocations = 0;
  for (; entry->d_tag != DT_NULL; entry++) {
    needed += entry->d_tag == DT_NEEDED;
    text_relocations += entry->d_tag == DT_TEXTREL;
    if (entry->d_tag == DT_FLAGS_1) keeps = (entry->d_un.d_val & DF_1_NODELETE) != 0;
  }
  EQUAL(needed, 0);
  EQUAL(text_relocations, 0);
  CHECK(keeps);
}

void test_image(void) {
  struct stat facts;
  int fd = open(shim_path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &facts)) give_up(shim_path);
  const char *file = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) give_up("mmap");
  const Elf64_Ehdr *head = (const void *)file;
  EQUAL(memcmp(head->e_ident, ELFMAG, SELFMAG), 0);
  EQUAL(head->e_machine, MACHINE);
  EQUAL(head->e_type, ET_DYN);
  int loads = 0, dynamics = 0, interpreters = 0, stacks = 0;
  const Elf64_Phdr *segment = (const void *)(file + head->e_phoff);
  for (int index = 0; index < head->e_phnum; index++, segment++) {
    switch (segment->p_type) {
    case PT_LOAD:
      loads++;
      EQUAL(segment->p_align % LARGEST_PAGE, 0);
      // Both would be refused where memory may not be written and executed at once.
      CHECK((segment->p_flags & (PF_W | PF_X)) != (PF_W | PF_X));
      break;
    case PT_DYNAMIC:
      dynamics++;
      check_dynamic((const void *)(file + segment->p_offset));
      break;
    case PT_INTERP:
      interpreters++;
      break;
    case PT_GNU_STACK:
      stacks++;
      EQUAL(segment->p_flags & PF_X, 0);
      break;
    }
  }
  CHECK(loads > 0);
  EQUAL(dynamics, 1);
  EQUAL(interpreters, 0);
  EQUAL(stacks, 1);

  // Symbols that are not defined would be looked for in whatever is loaded.
  const Elf64_Shdr *section = (const void *)(file + head->e_shoff);
  int undefined = 0, tables = 0;
  for (int index = 0; index < head->e_shnum; index++, section++) {
    if (section->sh_type != SHT_DYNSYM) continue;
    tables++;
    const Elf64_Sym *symbols = (const void *)(file + section->sh_offset);
    size_t count = section->sh_size / sizeof *symbols;
    for (size_t at = 1; at < count; at++) undefined += symbols[at].st_shndx == SHN_UNDEF;
  }
  EQUAL(tables, 1);
  EQUAL(undefined, 0);
  munmap((void *)file, (size_t)facts.st_size);
  close(fd);
}
