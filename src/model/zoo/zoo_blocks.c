// Blocks of the reference networks, and the table of networks.
#include "model/zoo/zoo_blocks.h"

#include <string.h>

#include "core/compiler.h"
#include "model/model_arena.h"

lat_value lat__zoo_norm(lat_nn *nn, const zoo_style *style, lat_value x, const char *name, int64_t channels) {
  return lat_nn_batch_norm(nn, x, channels,
                           LAT_OPTS(lat_nn_norm_opts, .name = name, .eps = style->eps, .momentum = style->momentum));
}

lat_value lat__zoo_step(lat_nn *nn, const zoo_style *style, lat_value x, const zoo_step *step) {
  lat_nn_conv_opts opts = step->opts;
  opts.struct_bytes = sizeof opts;
  opts.name = step->conv;
  opts.no_bias = 1;
  lat_value y = step->subm         ? lat_nn_subm_conv3d(nn, x, step->c_in, step->c_out, &opts)
                : step->transposed ? lat_nn_conv_transpose3d(nn, x, step->c_in, step->c_out, &opts)
                                   : lat_nn_conv3d(nn, x, step->c_in, step->c_out, &opts);
  return lat_nn_relu(nn, lat__zoo_norm(nn, style, y, step->norm, step->c_out));
}

lat_value lat__zoo_subm(lat_nn *nn, const zoo_style *style, lat_value x, const char *name, int64_t c_in,
                        int64_t c_out) {
  lat_nn_begin(nn, name);
  x = lat__zoo_step(nn, style, x, &(zoo_step){.conv = "0", .norm = "1", .c_in = c_in, .c_out = c_out, .subm = 1});
  lat_nn_end(nn);
  return x;
}

lat_value lat__zoo_residual(lat_nn *nn, const zoo_style *style, lat_value x, const char *name, int64_t c_in,
                            int64_t c_out) {
  lat_nn_conv_opts opts = LAT_NN_CONV_OPTS_INIT;
  lat_nn_begin(nn, name);
  opts.no_bias = !style->block_bias;
  opts.name = style->conv1;
  lat_value y = lat_nn_subm_conv3d(nn, x, c_in, c_out, &opts);
  y = lat_nn_relu(nn, lat__zoo_norm(nn, style, y, style->norm1, c_out));
  opts.name = style->conv2;
  y = lat_nn_subm_conv3d(nn, y, c_out, c_out, &opts);
  y = lat__zoo_norm(nn, style, y, style->norm2, c_out);
  if (c_in != c_out) {
    opts.name = style->short_conv;
    opts.kernel_size = lat_triple_all(1);
    x = lat_nn_conv3d(nn, x, c_in, c_out, &opts);
    x = lat__zoo_norm(nn, style, x, style->short_norm, c_out);
  }
  y = lat_nn_relu(nn, lat_nn_add(nn, y, x));
  lat_nn_end(nn);
  return y;
}

int32_t lat__zoo_cells(int32_t cells, int32_t size, int32_t stride, int32_t padding) {
  int32_t span = cells + 2 * padding - size;
  return span < 0 ? 1 : span / stride + 1;
}

// --- the table ------------------------------------------------------------------------------------------------------

static const struct {
  const char *name;
  void (*build)(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts);
  int32_t variant;
} networks[] = {
    {"minkunet14", lat__zoo_minkunet, 14},
    {"minkunet18a", lat__zoo_minkunet, 18},
    {"minkunet34c", lat__zoo_minkunet, 34},
    {"sparse_resunet42", lat__zoo_resunet, 42},
    {"sparse_resnet21d", lat__zoo_resnet, 21},
    {"voxel_backbone8x", lat__zoo_detection, 0},
    {"voxel_res_backbone8x", lat__zoo_detection, 1},
    {"voxelnext", lat__zoo_detection, 2},
    {"spvcnn", lat__zoo_spvcnn, 0},
};

enum { N_NETWORKS = sizeof networks / sizeof *networks };

int64_t lat_zoo_count(void) {
  return N_NETWORKS;
}

const char *lat_zoo_name(int64_t index) {
  return index >= 0 && index < N_NETWORKS ? networks[index].name : NULL;
}

static void fill_defaults(lat_zoo_opts *o) {
  if (!o->in_channels) o->in_channels = 4;
  if (!o->classes) o->classes = 20;
  if (!o->grid.x && !o->grid.y && !o->grid.z) o->grid = (lat_triple){1408, 1600, 41};
  if (o->voxel_size == 0.0) o->voxel_size = 0.05;
}

lat_status lat_zoo_build(lat_context *context, const char *name, const lat_zoo_opts *opts, lat_model **out) {
  lat_status status = LAT_STATUS_OK;
  lat_nn *nn = NULL;
  lat_zoo_opts o = LAT_ZOO_OPTS_INIT;
  int64_t at = 0;
  if (out) *out = NULL;
  if (!context || !name || !out) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "zoo_build: %s: got NULL, expected one",
                    !context ? "context"
                    : !name  ? "name"
                             : "out");
  }
  LAT_TRY(lat__model_copy_opts("zoo_build", opts, sizeof o, &o), done);
  fill_defaults(&o);
  while (at < N_NETWORKS && strcmp(networks[at].name, name) != 0) at++;
  if (at == N_NETWORKS) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "zoo_build: no network of that name: got \"%.64s\", expected one of "
                      "lat_zoo_name",
                      name);
    goto done;
  }
  LAT_TRY(lat_nn_create(context, &nn), done);
  networks[at].build(nn, networks[at].variant, &o);
  LAT_TRY(lat_nn_finish(nn, out), done);
done:
  return status;
}
