// Runs a fuzz target over its corpus without libFuzzer, so that every compiler replays what was once found: each file
// whole, and cut short at sixteen places, which is what a broken download looks like.
//
// usage: fuzz_NAME FOLDER
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_CUTS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint8_t *read_file(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return NULL;
  uint8_t *data = NULL;
  if (fseek(file, 0, SEEK_END) == 0) {
    long length = ftell(file);
    rewind(file);
    *bytes = length > 0 ? (size_t)length : 0;
    data = malloc(*bytes + 1);
    if (data != NULL && fread(data, 1, *bytes, file) != *bytes) {
      free(data);
      data = NULL;
    }
  }
  fclose(file);
  return data;
}

// The target gets a block of exactly `bytes` bytes, so that the sanitizers see a read past its end.
static void run_prefix(const uint8_t *data, size_t bytes) {
  uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
  if (copy == NULL) abort();
  memcpy(copy, data, bytes);
  LLVMFuzzerTestOneInput(copy, bytes);
  free(copy);
}

int main(int argc, char **argv) {
  int n_files = 0;
  DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
  if (folder == NULL) {
    fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    char path[4096];
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
    uint8_t *data = read_file(path, &bytes);
    if (data == NULL) {
      fprintf(stderr, "cannot read %s\n", path);
      return 1;
    }
    for (size_t cut = 0; cut <= N_CUTS; cut++) run_prefix(data, bytes * cut / N_CUTS);
    free(data);
    n_files++;
  }
  closedir(folder);
  printf("%d corpus files replayed\n", n_files);
  return n_files > 0 ? 0 : 1;
}
