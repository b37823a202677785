// U-Nets and the residual encoder: MinkUNet with MinkowskiEngine's names, SparseResUNet42 and SparseResNet21D with
// TorchSparse's.
#include <stdio.h>

#include "model/zoo/zoo_blocks.h"

static const zoo_style mink = {.conv1 = "conv1",
                               .norm1 = "norm1",
                               .conv2 = "conv2",
                               .norm2 = "norm2",
                               .short_conv = "downsample.0",
                               .short_norm = "downsample.1"};
static const zoo_style torchsparse = {.conv1 = "main.0",
                                      .norm1 = "main.1",
                                      .conv2 = "main.3",
                                      .norm2 = "main.4",
                                      .short_conv = "shortcut.0",
                                      .short_norm = "shortcut.1"};

/// Layers per stage and the decoder's widths.
typedef struct minkunet_shape {
  int32_t variant;
  int32_t layers[8];
  int64_t up[4];
} minkunet_shape;

static const minkunet_shape minkunets[] = {
    {14, {1, 1, 1, 1, 1, 1, 1, 1}, {256, 128, 96, 96}},
    {18, {2, 2, 2, 2, 2, 2, 2, 2}, {128, 128, 96, 96}},
    {34, {2, 3, 4, 6, 2, 2, 2, 2}, {256, 128, 96, 96}},
};

/// `n` residual blocks in the scope "block<number>"; the first changes the width.
static lat_value mink_blocks(lat_nn *nn, lat_value x, int32_t number, int32_t n, const int64_t channels[2]) {
  char name[24];
  snprintf(name, sizeof name, "block%d", (int)number);
  lat_nn_begin(nn, name);
  for (int32_t i = 0; i < n; i++) {
    x = lat__zoo_residual(nn, &mink, x, NULL, i ? channels[1] : channels[0], channels[1]);
  }
  lat_nn_end(nn);
  return x;
}

/// The strided convolution in front of encoder stage `stage`, or the transposed one onto `skip` behind it.
static lat_value mink_step(lat_nn *nn, lat_value x, const char *conv, const char *norm, const int64_t channels[2],
                           lat_value skip) {
  zoo_step step = {.conv = conv, .norm = norm, .c_in = channels[0], .c_out = channels[1], .transposed = skip != 0};
  step.opts.kernel_size = step.opts.stride = lat_triple_all(2);
  step.opts.target = skip;
  return lat__zoo_step(nn, &mink, x, &step);
}

void lat__zoo_minkunet(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts) {
  static const char *const down_names[4][2] = {
      {"conv1p1s2", "bn1"}, {"conv2p2s2", "bn2"}, {"conv3p4s2", "bn3"}, {"conv4p8s2", "bn4"}};
  static const char *const up_names[4][2] = {
      {"convtr4p16s2", "bntr4"}, {"convtr5p8s2", "bntr5"}, {"convtr6p4s2", "bntr6"}, {"convtr7p2s2", "bntr7"}};
  static const int64_t encoder[5] = {32, 32, 64, 128, 256};
  const minkunet_shape *shape = minkunets;
  lat_value levels[5];
  while (shape->variant != variant) shape++;
  zoo_step stem = {.conv = "conv0p1s1", .norm = "bn0", .c_in = opts->in_channels, .c_out = 32, .subm = 1};
  stem.opts.kernel_size = lat_triple_all(5);
  levels[0] = lat__zoo_step(nn, &mink, lat_nn_input(nn, "x", opts->in_channels, NULL), &stem);
  for (int i = 0; i < 4; i++) {
    const int64_t keep[2] = {encoder[i], encoder[i]};
    lat_value x = mink_step(nn, levels[i], down_names[i][0], down_names[i][1], keep, 0);
    levels[i + 1] = mink_blocks(nn, x, i + 1, shape->layers[i], &encoder[i]);
  }
  lat_value x = levels[4];
  int64_t width = 256;
  for (int i = 0; i < 4; i++) {
    const int64_t up[2] = {width, shape->up[i]}, fused[2] = {shape->up[i] + encoder[3 - i], shape->up[i]};
    x = mink_step(nn, x, up_names[i][0], up_names[i][1], up, levels[3 - i]);
    x = lat_nn_cat(nn, (const lat_value[2]){x, levels[3 - i]}, 2, LAT_JOIN_DEFAULT);
    x = mink_blocks(nn, x, i + 5, shape->layers[i + 4], fused);
    width = shape->up[i];
  }
  x = lat_nn_conv3d(nn, x, width, opts->classes, LAT_OPTS(lat_nn_conv_opts, .name = "final", .kernel_size = {1, 1, 1}));
  lat_nn_output(nn, "y", x);
}

// --- TorchSparse ----------------------------------------------------------------------------------------------------

/// A block of convolution, norm and ReLU in a scope of its own, its parts 0 and 1.
static lat_value conv_block(lat_nn *nn, lat_value x, const char *scope, zoo_step step) {
  step.conv = "0";
  step.norm = "1";
  lat_nn_begin(nn, scope);
  x = lat__zoo_step(nn, &torchsparse, x, &step);
  lat_nn_end(nn);
  return x;
}

static lat_value resunet_stem(lat_nn *nn, lat_value x, int64_t c_in) {
  lat_nn_begin(nn, "stem");
  x = lat__zoo_step(nn, &torchsparse, x, &(zoo_step){.conv = "0", .norm = "1", .c_in = c_in, .c_out = 32, .subm = 1});
  x = lat__zoo_step(nn, &torchsparse, x, &(zoo_step){.conv = "3", .norm = "4", .c_in = 32, .c_out = 32, .subm = 1});
  lat_nn_end(nn);
  return x;
}

void lat__zoo_resunet(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts) {
  static const int64_t encoder[5] = {32, 32, 64, 128, 256}, decoder[4] = {256, 128, 96, 96};
  const lat_nn_conv_opts halve = {.kernel_size = {2, 2, 2}, .stride = {2, 2, 2}};
  lat_value levels[5];
  (void)variant;
  levels[0] = resunet_stem(nn, lat_nn_input(nn, "x", opts->in_channels, NULL), opts->in_channels);
  lat_nn_begin(nn, "encoders");
  for (int i = 0; i < 4; i++) {
    lat_nn_begin(nn, NULL);
    lat_value x = conv_block(nn, levels[i], NULL, (zoo_step){.c_in = encoder[i], .c_out = encoder[i], .opts = halve});
    x = lat__zoo_residual(nn, &torchsparse, x, NULL, encoder[i], encoder[i + 1]);
    levels[i + 1] = lat__zoo_residual(nn, &torchsparse, x, NULL, encoder[i + 1], encoder[i + 1]);
    lat_nn_end(nn);
  }
  lat_nn_end(nn);
  lat_value x = levels[4];
  int64_t width = 256;
  lat_nn_begin(nn, "decoders");
  for (int i = 0; i < 4; i++) {
    zoo_step up = {.c_in = width, .c_out = decoder[i], .opts = halve, .transposed = 1};
    up.opts.target = levels[3 - i];
    width = decoder[i];
    lat_nn_begin(nn, NULL);
    x = conv_block(nn, x, "upsample", up);
    x = lat_nn_cat(nn, (const lat_value[2]){x, levels[3 - i]}, 2, LAT_JOIN_DEFAULT);
    lat_nn_begin(nn, "fuse");
    x = lat__zoo_residual(nn, &torchsparse, x, NULL, width + encoder[3 - i], width);
    x = lat__zoo_residual(nn, &torchsparse, x, NULL, width, width);
    lat_nn_end(nn);
    lat_nn_end(nn);
  }
  lat_nn_end(nn);
  lat_nn_output(nn, "y", x);
}

void lat__zoo_resnet(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts) {
  static const int64_t widths[4] = {16, 32, 64, 128};
  lat_value x = lat_nn_input(nn, "x", opts->in_channels, NULL);
  int64_t c_in = opts->in_channels;
  (void)variant;
  for (int i = 0; i < 4; i++) {
    zoo_step step = {.c_in = c_in, .c_out = widths[i], .subm = i == 0};
    if (i) step.opts.stride = lat_triple_all(2);
    lat_nn_begin(nn, NULL);
    x = conv_block(nn, x, NULL, step);
    x = lat__zoo_residual(nn, &torchsparse, x, NULL, widths[i], widths[i]);
    x = lat__zoo_residual(nn, &torchsparse, x, NULL, widths[i], widths[i]);
    lat_nn_end(nn);
    c_in = widths[i];
  }
  lat_nn_begin(nn, NULL);
  x = conv_block(nn, x, NULL,
                 (zoo_step){.c_in = 128, .c_out = 128, .opts = {.kernel_size = {1, 3, 1}, .stride = {1, 2, 1}}});
  lat_nn_end(nn);
  lat_nn_output(nn, "y", x);
}
