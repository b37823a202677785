// Networks for codec tests, made by tools/reno_artifact.py.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/codec_folder.h"
#include "support/test_support.h"

int lat_test_codec_folder(int seed, char *path, size_t path_bytes) {
  char folder[] = "/tmp/lattice_codec_XXXXXX", source[1024], command[4096];
  if (seed < 0 && !lat_test_shared_path("weights/reno_KITTIDetection.pt", source, sizeof source)) return 0;
  if (!mkdtemp(folder)) return 0;
  if (seed >= 0) snprintf(source, sizeof source, "--random 4 %d", seed);
  snprintf(command, sizeof command, "python3 '%s/tools/reno_artifact.py' %s '%s' >/dev/null", LAT_TEST_SOURCE_DIR,
           source, folder);
  if (system(command) != 0) return 0;
  snprintf(path, path_bytes, "%s", folder);
  return 1;
}

void lat_test_codec_folder_remove(const char *path) {
  char command[1024];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  if (strncmp(path, "/tmp/lattice_codec_", 19) == 0 && system(command) != 0) printf("cannot remove %s\n", path);
}
