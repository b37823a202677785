/// The demo's network is a table of layers, run one after the other. Everything the quickstart shows is in it: a forward
/// and a submanifold convolution, norms over rows and over channels, strided convolutions, local and global pooling.
#include "demo_network.h"

#include <math.h>
#include <stdio.h>

typedef enum layer_kind { CONV, SUBM_CONV, BATCH_NORM, LAYER_NORM, RELU, MAX_POOL, GLOBAL_AVG_POOL } layer_kind;

typedef struct layer {
  layer_kind kind;
  int32_t c_out;  ///< convolutions
  int32_t kernel; ///< convolutions and pools
  int32_t stride;
  bool ends_level; ///< its output goes back to the points
} layer;

static const layer layers[] = {
    {CONV, 32, 3, 1, false},          {BATCH_NORM, 0, 0, 0, false}, {RELU, 0, 0, 0, false},
    {SUBM_CONV, 32, 3, 1, false},     {LAYER_NORM, 0, 0, 0, true},  {RELU, 0, 0, 0, false},
    {CONV, 64, 2, 2, false},          {BATCH_NORM, 0, 0, 0, false}, {RELU, 0, 0, 0, false},
    {SUBM_CONV, 64, 3, 1, false},     {LAYER_NORM, 0, 0, 0, true},  {RELU, 0, 0, 0, false},
    {CONV, 96, 3, 2, false},          {BATCH_NORM, 0, 0, 0, false}, {RELU, 0, 0, 0, false},
    {SUBM_CONV, 96, 3, 1, false},     {LAYER_NORM, 0, 0, 0, true},  {MAX_POOL, 0, 3, 2, false},
    {GLOBAL_AVG_POOL, 0, 0, 0, false}};

_Static_assert(CLI_COUNT(layers) <= DEMO_MOST_LAYERS, "room for every layer");

static bool has_weight(const layer *l) {
  return l->kind == CONV || l->kind == SUBM_CONV;
}

lat_status demo_network_create(lat_context *context, int64_t c_in, demo_network *network) {
  lat_status status = LAT_STATUS_OK;
  for (int i = 0; i < CLI_COUNT(layers); i++) {
    const layer *l = &layers[i];
    if (!has_weight(l)) continue;
    int64_t k = l->kernel, shape[5] = {l->c_out, k, k, k, c_in};
    // The usual bound for layers before a rectifier. Norms follow, so the scale matters little.
    double bound = sqrt(6.0 / (double)(k * k * k * c_in)), range[2] = {-bound, bound};
    CLI_TRY(lat_array_uniform(context, LAT_DTYPE_F32, 5, shape, range, (uint64_t)i, &network->weights[i]), done);
    c_in = l->c_out;
  }
done:
  return status;
}

static lat_status run_conv(lat_context *context, const layer *l, const lat_array *weight, const lat_tensor *x,
                           lat_tensor **out) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_weight dense = lat_weight_dense(lat_array_as_view(weight));
  opts.kernel_size = lat_triple_all(l->kernel);
  if (l->kind == SUBM_CONV) return lat_subm_conv3d(context, x, &dense, NULL, &opts, out);
  opts.stride = lat_triple_all(l->stride);
  return lat_conv3d(context, x, &dense, NULL, &opts, out);
}

static lat_kernel_opts pool_geometry(const layer *l) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = lat_triple_all(l->kernel);
  opts.stride = lat_triple_all(l->stride);
  return opts;
}

static lat_status run_layer(lat_context *context, const layer *l, const lat_array *weight, const lat_tensor *x,
                            lat_tensor **out) {
  lat_kernel_opts pool = pool_geometry(l);
  switch (l->kind) {
  case BATCH_NORM:
    return lat_batch_norm(context, x, NULL, out);
  case LAYER_NORM:
    return lat_layer_norm(context, x, NULL, out);
  case RELU:
    return lat_relu(context, x, out);
  case MAX_POOL:
    return lat_pool3d(context, x, LAT_POOL_MAX, &pool, out);
  default:
    return run_conv(context, l, weight, x, out);
  }
}

/// Edges of the layer's relation over `x`, which the layer has left in the cache; -1 for layers without one.
static lat_status count_edges(lat_context *context, const layer *l, const lat_tensor *x, int64_t *n_edges) {
  *n_edges = -1;
  if (!has_weight(l) && l->kind != MAX_POOL) return LAT_STATUS_OK;
  lat_relation *relation = NULL;
  lat_kernel_opts geometry = pool_geometry(l);
  lat_status status = l->kind == SUBM_CONV
                          ? lat_relation_create_subm(context, lat_tensor_coords(x), &geometry, &relation)
                          : lat_relation_create_forward(context, lat_tensor_coords(x), &geometry, &relation);
  if (!status) *n_edges = lat_relation_n_edges(relation);
  lat_relation_release(relation);
  return status;
}

static void name_layer(const layer *l, demo_row *row) {
  static const char *const names[] = {"conv3d", "subm_conv3d", "batch_norm",     "layer_norm",
                                      "relu",   "max_pool3d",  "global_avg_pool"};
  if (l->kernel) {
    snprintf(row->name, sizeof row->name, "%s k=%d s=%d", names[l->kind], (int)l->kernel, (int)l->stride);
  } else {
    snprintf(row->name, sizeof row->name, "%s", names[l->kind]);
  }
}

/// The last layer: one row for the whole sweep.
static lat_status run_global_pool(lat_context *context, const lat_tensor *x, demo_network *network, demo_row *row) {
  lat_array_release(network->summary);
  network->summary = NULL;
  lat_status status = lat_global_pool(context, x, LAT_POOL_AVG, -1, &network->summary);
  if (status) return status;
  row->n_rows = lat_array_as_view(network->summary).shape[0];
  row->n_channels = lat_array_as_view(network->summary).shape[1];
  row->n_edges = -1;
  return LAT_STATUS_OK;
}

/// Runs layer `i` on `*x`, which becomes its output, and fills the layer's line.
static lat_status run_one(lat_context *context, int i, demo_network *network, bool first, lat_tensor **x) {
  lat_status status = LAT_STATUS_OK;
  lat_tensor *y = NULL;
  demo_row *row = &network->rows[i];
  double start = cli_seconds();
  if (layers[i].kind == GLOBAL_AVG_POOL) {
    CLI_TRY(run_global_pool(context, *x, network, row), done);
  } else {
    CLI_TRY(run_layer(context, &layers[i], network->weights[i], *x, &y), done);
  }
  double elapsed_ms = 1e3 * (cli_seconds() - start);
  if (first) {
    row->first_ms = elapsed_ms;
  } else {
    row->again_ms = elapsed_ms;
  }
  if (!y) goto done;
  row->n_rows = lat_tensor_count(y);
  row->n_channels = lat_tensor_channels(y);
  CLI_TRY(count_edges(context, &layers[i], *x, &row->n_edges), done);
  lat_tensor_release(*x);
  *x = y;
  y = NULL;
done:
  lat_tensor_release(y);
  return status;
}

static lat_status run_all(lat_context *context, const lat_tensor *voxels, const char *verb, bool first,
                          demo_network *network) {
  lat_status status = LAT_STATUS_OK;
  lat_tensor *x = lat_tensor_retain(voxels);
  int n_levels = 0;
  network->n_rows = CLI_COUNT(layers);
  for (int i = 0; i < CLI_COUNT(layers); i++) {
    name_layer(&layers[i], &network->rows[i]);
    cli_progress(verb, "layer %d of %d, %s", i + 1, CLI_COUNT(layers), network->rows[i].name);
    CLI_TRY(run_one(context, i, network, first, &x), done);
    if (!layers[i].ends_level) continue;
    lat_tensor_release(network->levels[n_levels]);
    network->levels[n_levels++] = lat_tensor_retain(x);
  }
done:
  lat_tensor_release(x);
  cli_progress_end();
  return status;
}

lat_status demo_network_run(lat_context *context, const lat_tensor *voxels, const char *verb, demo_network *network) {
  lat_status status = LAT_STATUS_OK;
  CLI_TRY(run_all(context, voxels, verb, true, network), done);
  CLI_TRY(run_all(context, voxels, verb, false, network), done);
done:
  return status;
}

void demo_network_release(demo_network *network) {
  for (int i = 0; i < DEMO_MOST_LAYERS; i++) lat_array_release(network->weights[i]);
  for (int i = 0; i < DEMO_LEVELS; i++) lat_tensor_release(network->levels[i]);
  lat_array_release(network->summary);
}
