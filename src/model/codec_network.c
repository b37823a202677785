/// The network of the codec: two artifacts, and how levels of the octree become their inputs.
#include <stdio.h>
#include <string.h>

#include <lattice/program.h>

#include "model/codec_internal.h"
#include "model/model_arena.h"
#include "model/model_file.h"

enum { PATH_BYTES = 4096, ALPHABET = 16 };

/// The hash of a file, continued from `*digest`.
static lat_status digest_file(lat_context *context, const char *folder, const char *name, uint64_t *digest) {
  char path[PATH_BYTES];
  lat_array *content = NULL;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  lat_status status = lat__file_map(context, "codec_open", path, &content);
  if (status) return status;
  *digest = lat__hash(*digest, lat_array_as_view(content).data, lat_array_count(content));
  lat_array_release(content);
  return LAT_STATUS_OK;
}

/// Loads and compiles `folder`/`part`.
static lat_status open_part(lat_context *context, const char *folder, const char *part, uint64_t *digest,
                            lat_program **out) {
  lat_status status = LAT_STATUS_OK;
  lat_model *model = NULL;
  char path[PATH_BYTES];
  int length = snprintf(path, sizeof path, "%s/%s", folder, part);
  if (length < 0 || length >= PATH_BYTES - 32) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "codec_open: folder: path too long: got %d bytes", length);
  }
  LAT_TRY(lat_model_load(context, path, NULL, &model), done);
  LAT_TRY(digest_file(context, path, "graph.mlir", digest), done);
  LAT_TRY(digest_file(context, path, "weights.safetensors", digest), done);
  LAT_TRY(lat_model_compile(context, model, NULL, out), done);
done:
  lat_model_release(model);
  return status;
}

// --- inputs ---------------------------------------------------------------------------------------------------------

/// One level as the graphs take it: physical coordinates at stride `scale`, one integer for each voxel, the row count.
typedef struct level_inputs {
  lat_array *coords, *codes, *active;
  lat_array_view coords_view, codes_view, active_view;
} level_inputs;

static void inputs_release(level_inputs *inputs) {
  lat_array_release(inputs->coords);
  lat_array_release(inputs->codes);
  lat_array_release(inputs->active);
  *inputs = (level_inputs){.coords = NULL};
}

/// Which child of its parent a voxel is: x + 2y + 4z of the low bits.
static int32_t octant_of(const lat__codec_voxel *v) {
  return (v->x & 1) | (v->y & 1) << 1 | (v->z & 1) << 2;
}

/// `use_octants`: the integers are octants, otherwise occupancy codes.
static lat_status inputs_make(lat_context *context, const lat__codec_level *level, int32_t scale, bool use_octants,
                              level_inputs *out) {
  lat_status status = LAT_STATUS_OK;
  int64_t shape[2] = {level->n, 4}, one = 1;
  *out = (level_inputs){.coords = NULL};
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 2, shape, 0.0, &out->coords), done);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 1, shape, 0.0, &out->codes), done);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 1, &one, (double)level->n, &out->active), done);
  int32_t *row = lat_array_data(out->coords), *codes = lat_array_data(out->codes);
  for (int64_t i = 0; i < level->n; i++, row += 4) {
    const lat__codec_voxel *v = &level->voxels[i];
    row[1] = v->x * scale;
    row[2] = v->y * scale;
    row[3] = v->z * scale;
    codes[i] = use_octants ? octant_of(v) : v->code;
  }
  out->coords_view = lat_array_as_view(out->coords);
  out->codes_view = lat_array_as_view(out->codes);
  out->active_view = lat_array_as_view(out->active);
done:
  if (status) inputs_release(out);
  return status;
}

/// A dense output of the run, retained. BAD_DATA when the model gives none of that name or another shape.
static lat_status take_output(const lat_results *results, const char *name, int64_t rows, int64_t columns,
                              lat_array **out) {
  const lat_array *array = lat_results_array(results, name);
  lat_array_view view = array ? lat_array_as_view(array) : (lat_array_view){.rank = 0};
  if (view.rank != 2 || view.shape[0] != rows || (columns && view.shape[1] != columns) || view.dtype != LAT_DTYPE_F32) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "codec: output '%s' of the network: got %s, expected a float32 array of %lld rows%s", name,
                    array ? "another shape or dtype" : "none", (long long)rows, columns ? " and 16 columns" : "");
  }
  *out = lat_array_retain(array);
  return LAT_STATUS_OK;
}

lat_status lat__codec_predict_low(lat_context *context, const lat__codec_network *network,
                                  const lat__codec_level *parents, const lat__codec_level *children,
                                  lat_array **features, lat_array **low) {
  lat_status status = LAT_STATUS_OK;
  level_inputs coarse = {.coords = NULL}, fine = {.coords = NULL};
  lat_results *results = NULL;
  LAT_TRY(inputs_make(context, parents, 2, false, &coarse), done);
  LAT_TRY(inputs_make(context, children, 1, true, &fine), done);
  const lat_binding bindings[] = {
      {.name = "parent_coords", .array = &coarse.coords_view}, {.name = "parent_codes", .array = &coarse.codes_view},
      {.name = "parent_active", .array = &coarse.active_view}, {.name = "child_coords", .array = &fine.coords_view},
      {.name = "child_octants", .array = &fine.codes_view},    {.name = "child_active", .array = &fine.active_view}};
  LAT_TRY(lat_program_run(context, network->trunk, bindings, 6, NULL, &results), done);
  LAT_TRY(take_output(results, "features", children->n, 0, features), done);
  LAT_TRY(take_output(results, "low", children->n, ALPHABET, low), done);
done:
  lat_results_release(results);
  inputs_release(&coarse);
  inputs_release(&fine);
  return status;
}

lat_status lat__codec_predict_high(lat_context *context, const lat__codec_network *network,
                                   const lat__codec_level *children, const lat_array *features,
                                   const lat_array_view *low, lat_array **high) {
  lat_status status = LAT_STATUS_OK;
  level_inputs fine = {.coords = NULL};
  lat_results *results = NULL;
  lat_array_view feature_view = lat_array_as_view(features);
  LAT_TRY(inputs_make(context, children, 1, true, &fine), done);
  const lat_binding bindings[] = {{.name = "child_coords", .array = &fine.coords_view},
                                  {.name = "child_features", .array = &feature_view},
                                  {.name = "child_active", .array = &fine.active_view},
                                  {.name = "child_low", .array = low}};
  LAT_TRY(lat_program_run(context, network->high, bindings, 4, NULL, &results), done);
  LAT_TRY(take_output(results, "high", children->n, ALPHABET, high), done);
done:
  lat_results_release(results);
  inputs_release(&fine);
  return status;
}

// --- opening --------------------------------------------------------------------------------------------------------

/// Runs the network once on two levels of one voxel, so that artifacts of another kind are refused when they are opened.
static lat_status try_network(lat_context *context, const lat__codec_network *network) {
  lat_status status = LAT_STATUS_OK;
  lat_array *features = NULL, *low = NULL, *high = NULL;
  lat__codec_voxel voxel = {.code = 1};
  int32_t symbol = 1;
  const lat__codec_level level = {.voxels = &voxel, .n = 1};
  lat_array_view known = lat_view_1d(&symbol, LAT_DTYPE_I32, 1);
  LAT_TRY(lat__codec_predict_low(context, network, &level, &level, &features, &low), done);
  LAT_TRY(lat__codec_predict_high(context, network, &level, features, &known, &high), done);
done:
  lat_array_release(features);
  lat_array_release(low);
  lat_array_release(high);
  return status;
}

lat_status lat__codec_network_open(lat_context *context, const char *folder, lat__codec_network *out) {
  lat_status status = LAT_STATUS_OK;
  *out = (lat__codec_network){.digest = LAT__HASH_START};
  LAT_TRY(open_part(context, folder, "trunk", &out->digest, &out->trunk), done);
  LAT_TRY(open_part(context, folder, "high", &out->digest, &out->high), done);
  LAT_TRY(try_network(context, out), done);
done:
  if (status) lat__codec_network_close(out);
  return status;
}

void lat__codec_network_close(lat__codec_network *network) {
  lat_program_release(network->trunk);
  lat_program_release(network->high);
  *network = (lat__codec_network){.digest = 0};
}
