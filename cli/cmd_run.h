/// What the two ways of `lattice run` share.
#ifndef LATTICE_CMD_RUN_H
#define LATTICE_CMD_RUN_H

#include "scan_inputs.h"

/// A run of a model.
typedef struct run_job {
  lat_context *context;
  lat_model *model;
  lat_program *program;
  lat_results *results;
  bool logical; ///< coordinate arrays are logical
} run_job;

/// What `lattice run --scan` was asked for: one file to write for each scan.
typedef struct run_scan {
  scan_request request;
  cli_texts outs;
} run_scan;

/// Runs the model over the point clouds, which are one batch, and writes their points with their results. `*n_points` and
/// `*n_voxels` (of the first sparse input; none: -1) are for the report.
LAT_CHECKED lat_status run_on_scans(run_job *job, const run_scan *scan, int64_t *n_points, int64_t *n_voxels);

#endif
