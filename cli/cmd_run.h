/// What the two ways of `lattice run` share.
#ifndef LATTICE_CMD_RUN_H
#define LATTICE_CMD_RUN_H

#include "cli.h"

/// A run of a model.
typedef struct run_job {
  lat_context *context;
  lat_model *model;
  lat_program *program;
  lat_results *results;
  bool logical; ///< coordinate arrays are logical
} run_job;

/// What `lattice run --scan` was asked for.
typedef struct run_scan {
  const char *path, *out;
  const char *features; ///< names of columns, or NULL: chosen
  double voxel;
  int64_t floats;
} run_scan;

/// Runs the model over a point cloud and writes the points with its results. `*n_points` and `*n_voxels` are for the
/// report (no voxels: -1).
LAT_CHECKED lat_status run_on_scan(run_job *job, const run_scan *scan, int64_t *n_points, int64_t *n_voxels);

#endif
