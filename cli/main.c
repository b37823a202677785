/// The program `lattice`: finds the verb and runs it.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

typedef struct verb {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} verb;

static const verb verbs[] = {
    {"info", cmd_info, "show what a point-cloud file or a model artifact holds"},
    {"validate", cmd_validate, "check a model artifact"},
    {"run", cmd_run, "run a model artifact over tensors or a point cloud"},
    {"voxelize", cmd_voxelize, "reduce a point cloud to one point per voxel"},
    {"simulate", cmd_simulate, "make a labelled lidar sweep of a street"},
    {"demo", cmd_demo, "run a small sparse network over a sweep and draw its features"},
    {"explain", cmd_explain, "show what a network does on a scene, layer by layer"},
    {"compress", cmd_compress, "code a point cloud with a neural codec"},
    {"decompress", cmd_decompress, "decode a point cloud that compress wrote"},
    {"bench", cmd_bench, "measure operators and the limits of the machine"},
};

static void print_help(FILE *out) {
  fprintf(out,
          "usage: lattice VERB [arguments]\n\nSparse 3-D tensors on point clouds, from the command line.\n\nverbs:\n");
  for (int i = 0; i < CLI_COUNT(verbs); i++) {
    fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
  }
  fprintf(out, "\n  --help, --version\n\n"
               "`lattice VERB --help` explains a verb.\n"
               "Files: PLY, PCD, LAS and KITTI/nuScenes .bin. Exit codes: 0 done, 1 failed, 2 wrong command line.\n");
}

static const verb *find_verb(const char *name) {
  for (int i = 0; i < CLI_COUNT(verbs); i++) {
    if (strcmp(name, verbs[i].name) == 0) return &verbs[i];
  }
  return NULL;
}

static int run(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return CLI_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (strcmp(argv[1], "help") == 0 && argc == 2)) {
    print_help(stdout);
    return CLI_OK;
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("lattice %s\n", lat_version());
    return CLI_OK;
  }
  bool wants_help = strcmp(argv[1], "help") == 0;
  const verb *chosen = find_verb(argv[wants_help ? 2 : 1]);
  if (!chosen) {
    fprintf(stderr, "lattice: unknown verb '%s', expected one of those that `lattice --help` lists\n",
            argv[wants_help ? 2 : 1]);
    return CLI_USAGE;
  }
  char help[] = "--help";
  char *help_arguments[] = {argv[wants_help ? 2 : 1], help, NULL};
  return wants_help ? chosen->run(2, help_arguments) : chosen->run(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
  int code = run(argc, argv);
  // A result that did not reach its reader (a full disk, a closed pipe) is a failure.
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "lattice: cannot write to standard output: %s\n", strerror(errno));
    if (code == CLI_OK) code = CLI_FAILURE;
  }
  return code;
}
