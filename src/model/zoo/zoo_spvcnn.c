// SPVCNN: a U-Net over voxels beside a way over points, with spvnas' names. Features of points are added on the set of the
// input `rows`, which has one row for each point.
#include <stdio.h>

#include "model/zoo/zoo_blocks.h"

static const zoo_style spvnas = {.conv1 = "net.0",
                                 .norm1 = "net.1",
                                 .conv2 = "net.3",
                                 .norm2 = "net.4",
                                 .short_conv = "downsample.0",
                                 .short_norm = "downsample.1"};

/// The two ways and where they meet.
typedef struct ways {
  lat_nn *nn;
  lat_nn_points points;
  lat_value rows;  ///< the set on which points are added
  lat_value feats; ///< of the points, dense
  double voxel_size;
} ways;

static lat_nn_voxel_opts grid_of(const ways *w, int32_t stride) {
  lat_nn_voxel_opts opts = LAT_NN_VOXEL_OPTS_INIT;
  for (int axis = 0; axis < 3; axis++) opts.voxel_size[axis] = w->voxel_size * stride;
  opts.stride = lat_triple_all(stride);
  return opts;
}

/// Voxels at the points, trilinear.
static lat_value to_points(const ways *w, lat_value voxels, int32_t stride) {
  lat_nn_voxel_opts opts = grid_of(w, stride);
  return lat_nn_devoxelize(w->nn, &w->points, voxels, &opts);
}

/// Means of the points on the set of `voxels`.
static lat_value to_voxels(const ways *w, lat_value voxels, int32_t stride) {
  lat_nn_voxel_opts opts = grid_of(w, stride);
  lat_value means = lat_nn_voxelize(w->nn, &w->points, w->feats, &opts);
  return lat_nn_reindex(w->nn, means, voxels, 0.0);
}

/// The points' features become voxels at the points plus an MLP of what they were.
static void meet(ways *w, int32_t number, lat_value voxels, int32_t stride, const int64_t channels[2]) {
  char name[24];
  lat_nn *nn = w->nn;
  snprintf(name, sizeof name, "point_transforms.%d", (int)number);
  lat_value here = lat_nn_with_features(nn, w->rows, to_points(w, voxels, stride));
  lat_nn_begin(nn, name);
  lat_value y = lat_nn_with_features(nn, w->rows, lat_nn_linear(nn, w->feats, channels[0], channels[1], NULL));
  y = lat_nn_relu(nn, lat_nn_batch_norm(nn, y, channels[1], NULL));
  lat_nn_end(nn);
  w->feats = lat_nn_features(nn, lat_nn_add(nn, here, y));
}

static lat_value stem(lat_nn *nn, lat_value x, int64_t c_in) {
  lat_nn_begin(nn, "stem");
  x = lat__zoo_step(nn, &spvnas, x, &(zoo_step){.conv = "0", .norm = "1", .c_in = c_in, .c_out = 32, .subm = 1});
  x = lat__zoo_step(nn, &spvnas, x, &(zoo_step){.conv = "3", .norm = "4", .c_in = 32, .c_out = 32, .subm = 1});
  lat_nn_end(nn);
  return x;
}

/// stage<number>: half the resolution, then two residual blocks.
static lat_value down(lat_nn *nn, lat_value x, int32_t number, int64_t c_in, int64_t c_out) {
  char name[24];
  zoo_step halve = {.conv = "net.0", .norm = "net.1", .c_in = c_in, .c_out = c_in};
  halve.opts.kernel_size = halve.opts.stride = lat_triple_all(2);
  snprintf(name, sizeof name, "stage%d", (int)number);
  lat_nn_begin(nn, name);
  lat_nn_begin(nn, NULL);
  x = lat__zoo_step(nn, &spvnas, x, &halve);
  lat_nn_end(nn);
  x = lat__zoo_residual(nn, &spvnas, x, NULL, c_in, c_out);
  x = lat__zoo_residual(nn, &spvnas, x, NULL, c_out, c_out);
  lat_nn_end(nn);
  return x;
}

/// up<number>: back onto `skip`, which is put beside, then two residual blocks.
static lat_value up(lat_nn *nn, lat_value x, int32_t number, const int64_t channels[3], lat_value skip) {
  char name[24];
  zoo_step twice = {.conv = "net.0", .norm = "net.1", .c_in = channels[0], .c_out = channels[1], .transposed = 1};
  twice.opts.target = skip;
  snprintf(name, sizeof name, "up%d", (int)number);
  lat_nn_begin(nn, name);
  lat_nn_begin(nn, NULL);
  x = lat__zoo_step(nn, &spvnas, x, &twice);
  lat_nn_end(nn);
  x = lat_nn_cat(nn, (const lat_value[2]){x, skip}, 2, LAT_JOIN_DEFAULT);
  lat_nn_begin(nn, NULL);
  x = lat__zoo_residual(nn, &spvnas, x, NULL, channels[1] + channels[2], channels[1]);
  x = lat__zoo_residual(nn, &spvnas, x, NULL, channels[1], channels[1]);
  lat_nn_end(nn);
  lat_nn_end(nn);
  return x;
}

void lat__zoo_spvcnn(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts) {
  static const int64_t widths[5] = {32, 32, 64, 128, 256};
  static const int64_t ups[4][3] = {{256, 256, 128}, {256, 128, 64}, {128, 96, 32}, {96, 96, 32}};
  lat_value levels[5], y;
  (void)variant;
  ways w = {.nn = nn, .voxel_size = opts->voxel_size};
  w.points = lat_nn_input_points(nn, "p", opts->in_channels);
  w.rows = lat_nn_input(nn, "rows", 1, NULL);
  lat_nn_voxel_opts fine = grid_of(&w, 1);
  levels[0] = stem(nn, lat_nn_voxelize(nn, &w.points, w.points.features, &fine), opts->in_channels);
  w.feats = to_points(&w, levels[0], 1);
  levels[0] = to_voxels(&w, levels[0], 1);
  for (int32_t i = 0; i < 4; i++) levels[i + 1] = down(nn, levels[i], i + 1, widths[i], widths[i + 1]);
  meet(&w, 0, levels[4], 16, (const int64_t[2]){32, 256});
  y = lat_nn_dropout(nn, to_voxels(&w, levels[4], 16), 0.3);
  y = up(nn, up(nn, y, 1, ups[0], levels[3]), 2, ups[1], levels[2]);
  meet(&w, 1, y, 4, (const int64_t[2]){256, 128});
  y = lat_nn_dropout(nn, to_voxels(&w, y, 4), 0.3);
  y = up(nn, up(nn, y, 3, ups[2], levels[1]), 4, ups[3], levels[0]);
  meet(&w, 2, y, 1, (const int64_t[2]){128, 96});
  lat_nn_output(nn, "y",
                lat_nn_linear(nn, w.feats, 96, opts->classes, LAT_OPTS(lat_nn_linear_opts, .name = "classifier.0")));
}
