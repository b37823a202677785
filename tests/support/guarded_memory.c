// Guarded memory for kernel tests, see the header.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "support/guarded_memory.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/test_support.h"

#define MAX_BLOCKS 64
#define CANARY_BYTES 64
#define CANARY 0xC5
#define POISON 0xFB // as a float or a half: a large negative number

typedef struct block {
  unsigned char *map;
  size_t map_bytes;
  unsigned char *data; ///< of an output, else NULL
  size_t bytes, gap;
} block;

static block blocks[MAX_BLOCKS];
static int n_blocks;

/// Maps whole pages and the guard page; returns where the guard page begins.
static unsigned char *map_pages(size_t bytes, block *made) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t usable = (bytes + page) / page * page; // at least one page, so that a zero size has an address
  unsigned char *map = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED || mprotect(map + usable, page, PROT_NONE) != 0) fail_msg("no memory for guarded pages");
  made->map = map;
  made->map_bytes = usable + page;
  return map + usable;
}

static block *new_block(void) {
  if (n_blocks == MAX_BLOCKS) fail_msg("too many guarded blocks in one case");
  block *made = &blocks[n_blocks++];
  memset(made, 0, sizeof *made);
  return made;
}

void *guarded_alloc(size_t bytes) {
  return map_pages(bytes, new_block()) - bytes;
}

void *guarded_output(size_t bytes, size_t gap) {
  block *made = new_block();
  made->bytes = bytes;
  made->gap = gap;
  made->data = map_pages(CANARY_BYTES + bytes + gap, made) - gap - bytes;
  memset(made->data - CANARY_BYTES, CANARY, CANARY_BYTES);
  memset(made->data, POISON, bytes);
  memset(made->data + bytes, CANARY, gap);
  return made->data;
}

void guarded_check(const char *what) {
  for (int i = 0; i < n_blocks; i++) {
    const block *b = &blocks[i];
    if (!b->data) continue;
    for (size_t j = 0; j < CANARY_BYTES; j++) {
      if (b->data[-1 - (ptrdiff_t)j] != CANARY) fail_msg("%s: wrote %zu bytes before the output", what, j + 1);
    }
    for (size_t j = 0; j < b->gap; j++) {
      if (b->data[b->bytes + j] != CANARY) fail_msg("%s: wrote %zu bytes past the output", what, j + 1);
    }
  }
}

void guarded_free_all(void) {
  for (int i = 0; i < n_blocks; i++) munmap(blocks[i].map, blocks[i].map_bytes);
  n_blocks = 0;
}
