/// Point clouds as the inputs of a model: which inputs take voxels and which take points, and the values for them.
///
/// Several clouds are the items of one batch, in their order. Voxels of an input whose set has a stride are that many
/// times as long, so that inputs of different strides fit together.
#ifndef LATTICE_SCAN_INPUTS_H
#define LATTICE_SCAN_INPUTS_H

#include "cli.h"

enum { SCAN_MOST_GROUPS = 16, SCAN_MOST_ARRAYS = 4, SCAN_NAME_BYTES = 256 };

/// Inputs of a model that go together: three that are one sparse input, or four that describe points.
typedef struct scan_group {
  bool takes_points;
  int64_t first;              ///< input
  char name[SCAN_NAME_BYTES]; ///< of a sparse input
  int64_t channels;           ///< -1: any
  lat_triple stride;          ///< of a sparse input's set
} scan_group;

/// All inputs of a model in groups. Errors: UNSUPPORTED ("input NAME is neither voxels nor points").
LAT_CHECKED lat_status scan_find_groups(const char *verb, const lat_model *model, scan_group groups[SCAN_MOST_GROUPS],
                                        int *n_groups);

/// What is to be read.
typedef struct scan_request {
  cli_texts paths;
  const char *features; ///< names of columns for the inputs with as many channels, or NULL: chosen
  double voxel;
  int64_t floats;
} scan_request;

/// The clouds and what was made of them. All zeros: nothing; scan_inputs_end in any case.
typedef struct scan_inputs {
  lat_context *context;
  const char *verb;
  const scan_request *asked;
  lat_cloud *clouds[CLI_MOST_TEXTS];
  int64_t starts[CLI_MOST_TEXTS + 1]; ///< first point of each cloud
  lat_array *positions;               ///< (N, 3) of all clouds
  lat_array *batch;                   ///< (N,) int32
  scan_group groups[SCAN_MOST_GROUPS];
  int n_groups;
  bool took_features;                            ///< an input took the columns that were named
  lat_quantization *quantized[SCAN_MOST_GROUPS]; ///< of groups that take voxels
  lat_tensor *voxels[SCAN_MOST_GROUPS];
  lat_array *arrays[SCAN_MOST_GROUPS * SCAN_MOST_ARRAYS];
  lat_array_view views[SCAN_MOST_GROUPS * SCAN_MOST_ARRAYS];
  int n_arrays;
  lat_binding bindings[SCAN_MOST_GROUPS * SCAN_MOST_ARRAYS];
  int64_t n_bindings;
} scan_inputs;

/// Reads the clouds and makes every input. Errors: those of reading and voxelizing; INVALID_ARGUMENT (features that do not
/// fit an input: named).
LAT_CHECKED lat_status scan_inputs_make(lat_context *context, const char *verb, const lat_model *model,
                                        const scan_request *asked, scan_inputs *inputs);

void scan_inputs_end(scan_inputs *inputs);

/// Number of points of all clouds.
int64_t scan_inputs_count(const scan_inputs *inputs);

/// Adds a new array to the bindings, which keep it.
void scan_bind_array(scan_inputs *inputs, const char *name, lat_array *array);

#endif
