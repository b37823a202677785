// Backbones of detection networks with OpenPCDet's names: reach support inside a box of cells, coordinate columns z, y, x,
// norms with eps 1e-3 and momentum 0.01. Sizes are along x, y, z here: OpenPCDet's kernel (3, 1, 1) is (1, 1, 3).
#include <stdio.h>

#include "model/zoo/zoo_blocks.h"

static const zoo_style pcdet = {
    .conv1 = "conv1", .norm1 = "bn1", .conv2 = "conv2", .norm2 = "bn2", .eps = 1e-3, .momentum = 0.01, .block_bias = 1};

enum { PLAIN = 0, RESIDUAL = 1, NEXT = 2 };

/// What flows through a backbone: a value, its channels, and the cells it lies in.
typedef struct flow {
  lat_value x;
  int64_t channels;
  lat_triple cells;
} flow;

/// A strided convolution that keeps inside the box, with norm and ReLU, in the scope `name` (NULL: its number).
static void reach_step(lat_nn *nn, flow *f, const char *name, int64_t c_out, lat_nn_conv_opts opts) {
  opts.support = LAT_SUPPORT_REACH;
  opts.bounds = f->cells;
  zoo_step step = {.conv = "0", .norm = "1", .c_in = f->channels, .c_out = c_out, .opts = opts};
  lat_nn_begin(nn, name);
  f->x = lat__zoo_step(nn, &pcdet, f->x, &step);
  lat_nn_end(nn);
  f->channels = c_out;
  f->cells.x = lat__zoo_cells(f->cells.x, opts.kernel_size.x, opts.stride.x, opts.padding.x);
  f->cells.y = lat__zoo_cells(f->cells.y, opts.kernel_size.y, opts.stride.y, opts.padding.y);
  f->cells.z = lat__zoo_cells(f->cells.z, opts.kernel_size.z, opts.stride.z, opts.padding.z);
}

/// conv<number>: a strided convolution (none in stage 1) and what follows it at that width.
static void stage(lat_nn *nn, int32_t variant, flow *f, int32_t number, int64_t width, int32_t pad_z) {
  char name[24];
  snprintf(name, sizeof name, "conv%d", (int)number);
  lat_nn_begin(nn, name);
  if (number > 1) {
    const lat_nn_conv_opts opts = {.kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, pad_z}};
    reach_step(nn, f, NULL, width, opts);
  }
  int32_t n = variant == PLAIN && number == 1 ? 1 : 2;
  for (int32_t i = 0; i < n; i++) {
    f->x = variant == PLAIN ? lat__zoo_subm(nn, &pcdet, f->x, NULL, width, width)
                            : lat__zoo_residual(nn, &pcdet, f->x, NULL, width, width);
  }
  lat_nn_end(nn);
}

/// The bird's-eye array (B, C Z, Y, X) behind the last convolution along z.
static void dense_output(lat_nn *nn, flow *f, int32_t last_pad) {
  lat_dense_opts dense = LAT_DENSE_OPTS_INIT;
  const lat_nn_conv_opts last = {.kernel_size = {1, 1, 3}, .stride = {1, 1, 2}, .padding = {0, 0, last_pad}};
  reach_step(nn, f, "conv_out", 128, last);
  dense.shape = f->cells;
  dense.layout = LAT_DENSE_CHANNELS_FIRST;
  dense.fold = LAT_DENSE_FOLD_Z;
  dense.outside = LAT_DENSE_OUTSIDE_DROP; // a cloud that leaves the grid along an axis that no bound has cut
  lat_nn_output(nn, "y", lat_nn_to_dense(nn, f->x, 1, &dense));
}

/// VoxelNeXt: three strides put on one, summed over z, and two flat convolutions.
static void flat_output(lat_nn *nn, flow *f, const lat_value levels[3], lat_triple cells) {
  // An even size counts its taps from 0, so that every z of the box falls on 0.
  int32_t height = cells.z + cells.z % 2;
  lat_value x = lat_nn_concat_reduce(nn, levels, 3, LAT_DUPLICATES_SUM);
  lat_nn_pool_opts flatten = LAT_NN_POOL_OPTS_INIT;
  flatten.kernel_size = flatten.stride = (lat_triple){1, 1, height};
  f->x = lat_nn_sum_pool3d(nn, x, &flatten);
  f->cells = (lat_triple){cells.x, cells.y, 1};
  const lat_nn_conv_opts flat = {.kernel_size = {3, 3, 1}, .stride = {1, 1, 1}, .padding = {1, 1, 0}};
  reach_step(nn, f, "conv_out", 128, flat);
  lat_nn_begin(nn, "shared_conv");
  x = lat_nn_subm_conv3d(nn, f->x, 128, 128, LAT_OPTS(lat_nn_conv_opts, .name = "0", .kernel_size = {3, 3, 1}));
  x = lat_nn_relu(nn, lat__zoo_norm(nn, &pcdet, x, "1", 128));
  lat_nn_end(nn);
  lat_nn_output(nn, "y", x);
}

void lat__zoo_detection(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts) {
  lat_nn_input_opts input = LAT_NN_INPUT_OPTS_INIT;
  input.zyx = 1;
  flow f = {.channels = 16, .cells = opts->grid};
  f.x = lat_nn_input(nn, "x", opts->in_channels, &input);
  f.x = lat__zoo_subm(nn, &pcdet, f.x, "conv_input", opts->in_channels, 16);
  stage(nn, variant, &f, 1, 16, 1);
  stage(nn, variant, &f, 2, 32, 1);
  stage(nn, variant, &f, 3, 64, 1);
  stage(nn, variant, &f, 4, variant == PLAIN ? 64 : 128, 0);
  if (variant != NEXT) {
    dense_output(nn, &f, opts->last_pad);
    return;
  }
  lat_triple cells = f.cells;
  lat_value levels[3] = {f.x, 0, 0};
  stage(nn, variant, &f, 5, 128, 1);
  levels[1] = f.x;
  stage(nn, variant, &f, 6, 128, 1);
  levels[2] = f.x;
  flat_output(nn, &f, levels, cells);
}
