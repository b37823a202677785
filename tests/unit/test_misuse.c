// NULL for every pointer argument of every public function that reports a status: refused with a text that names the
// operation and the argument, and the output handle is cleared. Wrong sizes in every options struct are refused too.
//
// A call passes good arguments but the one numbered `missing`, which is NULL; -1 leaves all of them good, and the call
// must then succeed, so that a refusal is due to the NULL alone.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lattice/lattice.h>

#include "support/test_support.h"

#define N_ROWS 4
#define CHANNELS 2

/// Good arguments, shared by all calls.
static struct {
  lat_context *context;
  int32_t rows[N_ROWS * 4];
  float floats[256];
  double range[2];
  float buffer[N_ROWS * CHANNELS];
  char cloud_path[64], image_path[64];
  lat_array_view coord_view, feat_view, position_view, value_view, image_view;
  lat_weight conv_weight, linear_weight;
  lat_voxel_grid grid;
  lat_array *array;
  lat_coords *coords;
  lat_tensor *tensor;
  lat_relation *relation;
  lat_quantized_weight *packed;
  lat_quantized_info info;
  lat_quantization *quantization;
  lat_cloud *cloud;
} good;

static const int64_t shape[2] = {N_ROWS, CHANNELS};

/// Where calls write. Before a call every handle holds the good one, so that clearing and success both show.
static struct {
  lat_context *context;
  lat_array *array;
  lat_coords *coords;
  lat_tensor *tensor;
  lat_relation *relation;
  lat_quantized_weight *packed;
  lat_quantization *quantization;
  lat_cloud *cloud;
  lat_relation_edge_list edges;
  lat_relation_csr csr;
} out;

static void reset_out(void) {
  out.context = good.context;
  out.array = good.array;
  out.coords = good.coords;
  out.tensor = good.tensor;
  out.relation = good.relation;
  out.packed = good.packed;
  out.quantization = good.quantization;
  out.cloud = good.cloud;
}

/// How many handles the call cleared.
static int count_cleared(void) {
  return !out.context + !out.array + !out.coords + !out.tensor + !out.relation + !out.packed + !out.quantization +
         !out.cloud;
}

/// Releases what a successful call made. (A cached relation may be the good one itself, with one more reference.)
static void release_out(int relation_made) {
  if (out.context != good.context) lat_context_destroy(out.context);
  if (out.array != good.array) lat_array_release(out.array);
  if (out.coords != good.coords) lat_coords_release(out.coords);
  if (out.tensor != good.tensor) lat_tensor_release(out.tensor);
  if (relation_made) lat_relation_release(out.relation);
  if (out.packed != good.packed) lat_quantized_weight_release(out.packed);
  if (out.quantization != good.quantization) lat_quantization_release(out.quantization);
  if (out.cloud != good.cloud) lat_cloud_release(out.cloud);
}

static int set_up(void **state) {
  (void)state;
  for (int r = 0; r < N_ROWS; r++) good.rows[4 * r + 1] = r;
  for (int i = 0; i < 256; i++) good.floats[i] = 0.25f;
  good.range[1] = 1.0;
  good.coord_view = lat_view_2d(good.rows, LAT_DTYPE_I32, N_ROWS, 4);
  good.feat_view = lat_view_2d(good.floats, LAT_DTYPE_F32, N_ROWS, CHANNELS);
  good.position_view = lat_view_2d(good.floats, LAT_DTYPE_F32, N_ROWS, 3);
  good.value_view = lat_view_1d(good.floats, LAT_DTYPE_F32, N_ROWS);
  good.image_view = lat_view(good.floats, LAT_DTYPE_U8, 3, (const int64_t[]){2, 2, 3});
  good.conv_weight = lat_weight_dense(lat_view(good.floats, LAT_DTYPE_F32, 5, (const int64_t[]){1, 3, 3, 3, CHANNELS}));
  good.linear_weight = lat_weight_dense(good.feat_view);
  good.grid = lat_voxel_grid_cube(1.0);
  snprintf(good.cloud_path, sizeof good.cloud_path, "test_misuse_%ld.ply", (long)getpid());
  snprintf(good.image_path, sizeof good.image_path, "test_misuse_%ld.png", (long)getpid());
  lat_test_assert_ok(lat_context_create(NULL, &good.context));
  lat_test_assert_ok(lat_array_create(good.context, &good.feat_view, &good.array));
  lat_test_assert_ok(lat_coords_create(good.context, &good.coord_view, NULL, &good.coords));
  lat_test_assert_ok(lat_tensor_create(good.context, good.coords, &good.feat_view, NULL, &good.tensor));
  lat_test_assert_ok(lat_relation_create_forward(good.context, good.coords, NULL, &good.relation));
  lat_test_assert_ok(lat_quantize_weight(good.context, &good.feat_view, NULL, &good.packed));
  lat_test_assert_ok(lat_sparse_quantize(good.context, &good.position_view, &good.grid, &good.quantization));
  lat_test_assert_ok(lat_cloud_create(good.context, &good.position_view, &good.cloud));
  lat_test_assert_ok(lat_cloud_write_ply(good.context, good.cloud, good.cloud_path, NULL));
  good.info = lat_quantized_weight_info(good.packed);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  remove(good.cloud_path);
  remove(good.image_path);
  lat_cloud_release(good.cloud);
  lat_quantization_release(good.quantization);
  lat_quantized_weight_release(good.packed);
  lat_relation_release(good.relation);
  lat_tensor_release(good.tensor);
  lat_coords_release(good.coords);
  lat_array_release(good.array);
  lat_context_destroy(good.context);
  return 0;
}

// --- the calls: argument numbers are those of the table below ---

/// The pointer, or NULL when it is the missing one.
static const void *unless(int is_missing, const void *pointer) {
  return is_missing ? NULL : pointer;
}

static lat_context *context(int missing) {
  return missing == 0 ? NULL : good.context;
}

static lat_status context_create(int missing) {
  return lat_context_create(NULL, missing == 0 ? NULL : &out.context);
}

static lat_status array_create(int missing) {
  return lat_array_create(context(missing), unless(missing == 1, &good.feat_view), missing == 2 ? NULL : &out.array);
}

static lat_status array_full(int missing) {
  return lat_array_full(context(missing), LAT_DTYPE_F32, 2, unless(missing == 1, shape), 1.0,
                        missing == 2 ? NULL : &out.array);
}

static lat_status array_wrap(int missing) {
  return lat_array_wrap(context(missing), unless(missing == 1, &good.feat_view), NULL, NULL,
                        missing == 2 ? NULL : &out.array);
}

static lat_status array_uniform(int missing) {
  if (missing == 3) return lat_array_uniform(good.context, LAT_DTYPE_F32, 2, shape, good.range, 0, NULL);
  return lat_array_uniform(context(missing), LAT_DTYPE_F32, 2, unless(missing == 1, shape),
                           unless(missing == 2, good.range), 0, &out.array);
}

static lat_status array_cast(int missing) {
  return lat_array_cast(context(missing), unless(missing == 1, &good.feat_view), LAT_DTYPE_F16,
                        missing == 2 ? NULL : &out.array);
}

static lat_status array_copy_to(int missing) {
  return lat_array_copy_to(unless(missing == 0, &good.feat_view), missing == 1 ? NULL : good.buffer,
                           sizeof good.buffer);
}

static lat_status coords_create(int missing) {
  return lat_coords_create(context(missing), unless(missing == 1, &good.coord_view), NULL,
                           missing == 2 ? NULL : &out.coords);
}

static lat_status coords_lookup(int missing) {
  return lat_coords_lookup(context(missing), unless(missing == 1, good.coords), unless(missing == 2, &good.coord_view),
                           missing == 3 ? NULL : &out.array);
}

static lat_status tensor_create(int missing) {
  return lat_tensor_create(context(missing), unless(missing == 1, good.coords), unless(missing == 2, &good.feat_view),
                           NULL, missing == 3 ? NULL : &out.tensor);
}

static lat_status tensor_share(int missing) {
  return lat_tensor_share(context(missing), unless(missing == 1, good.coords), unless(missing == 2, good.array), NULL,
                          missing == 3 ? NULL : &out.tensor);
}

static lat_status tensor_with_feats(int missing) {
  return lat_tensor_with_feats(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, good.array),
                               missing == 3 ? NULL : &out.tensor);
}

static lat_status kernel_offsets(int missing) {
  return lat_kernel_offsets(context(missing), NULL, missing == 1 ? NULL : &out.array);
}

static lat_status relation_create_forward(int missing) {
  return lat_relation_create_forward(context(missing), unless(missing == 1, good.coords), NULL,
                                     missing == 2 ? NULL : &out.relation);
}

static lat_status relation_create_subm(int missing) {
  return lat_relation_create_subm(context(missing), unless(missing == 1, good.coords), NULL,
                                  missing == 2 ? NULL : &out.relation);
}

static lat_status relation_create_target(int missing) {
  return lat_relation_create_target(context(missing), unless(missing == 1, good.coords),
                                    unless(missing == 2, good.coords), NULL, missing == 3 ? NULL : &out.relation);
}

static lat_status relation_edges(int missing) {
  return lat_relation_edges(context(missing), unless(missing == 1, good.relation), missing == 2 ? NULL : &out.edges);
}

static lat_status relation_group_edges(int missing) {
  return lat_relation_group_edges(context(missing), unless(missing == 1, good.relation), LAT_RELATION_BY_INPUT,
                                  missing == 2 ? NULL : &out.csr);
}

static lat_status conv3d(int missing) {
  return lat_conv3d(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, &good.conv_weight), NULL,
                    NULL, missing == 3 ? NULL : &out.tensor);
}

static lat_status subm_conv3d(int missing) {
  return lat_subm_conv3d(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, &good.conv_weight),
                         NULL, NULL, missing == 3 ? NULL : &out.tensor);
}

static lat_status pool3d(int missing) {
  return lat_pool3d(context(missing), unless(missing == 1, good.tensor), LAT_POOL_MAX, NULL,
                    missing == 2 ? NULL : &out.tensor);
}

static lat_status global_pool(int missing) {
  return lat_global_pool(context(missing), unless(missing == 1, good.tensor), LAT_POOL_AVG, -1,
                         missing == 2 ? NULL : &out.array);
}

static lat_status linear(int missing) {
  return lat_linear(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, &good.linear_weight),
                    NULL, missing == 3 ? NULL : &out.tensor);
}

static lat_status relu(int missing) {
  return lat_relu(context(missing), unless(missing == 1, good.tensor), missing == 2 ? NULL : &out.tensor);
}

static lat_status gelu(int missing) {
  return lat_gelu(context(missing), unless(missing == 1, good.tensor), LAT_GELU_NONE,
                  missing == 2 ? NULL : &out.tensor);
}

static lat_status batch_norm(int missing) {
  return lat_batch_norm(context(missing), unless(missing == 1, good.tensor), NULL, missing == 2 ? NULL : &out.tensor);
}

static lat_status layer_norm(int missing) {
  return lat_layer_norm(context(missing), unless(missing == 1, good.tensor), NULL, missing == 2 ? NULL : &out.tensor);
}

static lat_status rms_norm(int missing) {
  return lat_rms_norm(context(missing), unless(missing == 1, good.tensor), NULL, missing == 2 ? NULL : &out.tensor);
}

static lat_status cast(int missing) {
  return lat_cast(context(missing), unless(missing == 1, good.tensor), LAT_DTYPE_F16,
                  missing == 2 ? NULL : &out.tensor);
}

static lat_status sparse_add(int missing) {
  return lat_sparse_add(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, good.tensor),
                        LAT_JOIN_DEFAULT, missing == 3 ? NULL : &out.tensor);
}

static lat_status sparse_cat_aligned(int missing) {
  return lat_sparse_cat_aligned(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, good.tensor),
                                LAT_JOIN_DEFAULT, missing == 3 ? NULL : &out.tensor);
}

static lat_status sparse_quantize(int missing) {
  return lat_sparse_quantize(context(missing), unless(missing == 1, &good.position_view),
                             unless(missing == 2, &good.grid), missing == 3 ? NULL : &out.quantization);
}

static lat_status voxelize(int missing) {
  return lat_voxelize(context(missing), unless(missing == 1, &good.position_view),
                      unless(missing == 2, &good.feat_view), unless(missing == 3, &good.grid), LAT_VOXEL_MEAN,
                      missing == 4 ? NULL : &out.tensor);
}

static lat_status devoxelize(int missing) {
  return lat_devoxelize(context(missing), unless(missing == 1, &good.position_view), unless(missing == 2, good.tensor),
                        unless(missing == 3, &good.grid), LAT_INTERPOLATION_LINEAR, missing == 4 ? NULL : &out.array);
}

static lat_status quantize_weight(int missing) {
  return lat_quantize_weight(context(missing), unless(missing == 1, &good.feat_view), NULL,
                             missing == 2 ? NULL : &out.packed);
}

static lat_status dequantize_weight(int missing) {
  return lat_dequantize_weight(context(missing), unless(missing == 1, good.packed), missing == 2 ? NULL : &out.array);
}

static lat_status quantized_weight_create(int missing) {
  return lat_quantized_weight_create(context(missing), unless(missing == 1, &good.info),
                                     missing == 2 ? NULL : &out.packed);
}

static lat_status cloud_read(int missing) {
  return lat_cloud_read(context(missing), unless(missing == 1, good.cloud_path), NULL,
                        missing == 2 ? NULL : &out.cloud);
}

static lat_status cloud_create(int missing) {
  return lat_cloud_create(context(missing), unless(missing == 1, &good.position_view),
                          missing == 2 ? NULL : &out.cloud);
}

static lat_status cloud_add_field(int missing) {
  return lat_cloud_add_field(context(missing), missing == 1 ? NULL : good.cloud, unless(missing == 2, "weight"),
                             unless(missing == 3, &good.value_view));
}

static lat_status cloud_write_ply(int missing) {
  return lat_cloud_write_ply(context(missing), unless(missing == 1, good.cloud), unless(missing == 2, good.cloud_path),
                             NULL);
}

static lat_status image_write_png(int missing) {
  return lat_image_write_png(context(missing), unless(missing == 1, &good.image_view),
                             unless(missing == 2, good.image_path));
}

/// Name of the operation in its texts, names of its pointer arguments in the order of their numbers, and the call.
static const struct {
  const char *op;
  const char *arguments[5];
  lat_status (*call)(int missing);
} calls[] = {
    {"context_create", {"out"}, context_create},
    {"array_create", {"context", "source", "out"}, array_create},
    {"array_full", {"context", "shape", "out"}, array_full},
    {"array_wrap", {"context", "view", "out"}, array_wrap},
    {"array_uniform", {"context", "shape", "range", "out"}, array_uniform},
    {"array_cast", {"context", "source", "out"}, array_cast},
    {"array_copy_to", {"source", "buffer"}, array_copy_to},
    {"coords_create", {"context", "coords", "out"}, coords_create},
    {"coords_lookup", {"context", "coords", "queries", "out"}, coords_lookup},
    {"tensor_create", {"context", "coords", "feats", "out"}, tensor_create},
    {"tensor_share", {"context", "coords", "feats", "out"}, tensor_share},
    {"tensor_with_feats", {"context", "tensor", "feats", "out"}, tensor_with_feats},
    {"kernel_offsets", {"context", "out"}, kernel_offsets},
    {"relation_create_forward", {"context", "input", "out"}, relation_create_forward},
    {"relation_create_subm", {"context", "input", "out"}, relation_create_subm},
    {"relation_create_target", {"context", "input", "target", "out"}, relation_create_target},
    {"relation_edges", {"context", "relation", "out"}, relation_edges},
    {"relation_group_edges", {"context", "relation", "out"}, relation_group_edges},
    {"conv3d", {"context", "x", "weight", "out"}, conv3d},
    {"subm_conv3d", {"context", "x", "weight", "out"}, subm_conv3d},
    {"pool3d", {"context", "x", "out"}, pool3d},
    {"global_pool", {"context", "x", "out"}, global_pool},
    {"linear", {"context", "x", "weight", "out"}, linear},
    {"relu", {"context", "x", "out"}, relu},
    {"gelu", {"context", "x", "out"}, gelu},
    {"batch_norm", {"context", "x", "out"}, batch_norm},
    {"layer_norm", {"context", "x", "out"}, layer_norm},
    {"rms_norm", {"context", "x", "out"}, rms_norm},
    {"cast", {"context", "x", "out"}, cast},
    {"sparse_add", {"context", "lhs", "rhs", "out"}, sparse_add},
    {"sparse_cat_aligned", {"context", "lhs", "rhs", "out"}, sparse_cat_aligned},
    {"sparse_quantize", {"context", "points", "grid", "out"}, sparse_quantize},
    {"voxelize", {"context", "points", "features", "grid", "out"}, voxelize},
    {"devoxelize", {"context", "points", "voxels", "grid", "out"}, devoxelize},
    {"quantize_weight", {"context", "weight", "out"}, quantize_weight},
    {"dequantize_weight", {"context", "weight", "out"}, dequantize_weight},
    {"quantized_weight_create", {"context", "info", "out"}, quantized_weight_create},
    {"cloud_read", {"context", "path", "out"}, cloud_read},
    {"cloud_create", {"context", "positions", "out"}, cloud_create},
    {"cloud_add_field", {"context", "cloud", "name", "values"}, cloud_add_field},
    {"cloud_write_ply", {"context", "cloud", "path"}, cloud_write_ply},
    {"image_write_png", {"context", "image", "path"}, image_write_png},
};

/// The last error reads "op: ... argument ...".
static int text_names(const char *op, const char *argument) {
  const char *text = lat_last_error();
  size_t length = strlen(op);
  return strncmp(text, op, length) == 0 && text[length] == ':' && strstr(text + length + 1, argument) != NULL;
}

static int is_out(const char *argument) {
  return strcmp(argument, "out") == 0;
}

/// Calls with one NULL; returns what is wrong with the answer, or NULL.
static const char *refusal_fault(size_t c, int missing) {
  int n_arguments = 0;
  while (n_arguments < 5 && calls[c].arguments[n_arguments]) n_arguments++;
  int has_handle = is_out(calls[c].arguments[n_arguments - 1]) && calls[c].call != relation_edges &&
                   calls[c].call != relation_group_edges;
  const char *argument = calls[c].arguments[missing];
  reset_out();
  lat_status status = calls[c].call(missing);
  if (status != LAT_STATUS_INVALID_ARGUMENT) return lat_status_name(status);
  if (!text_names(calls[c].op, argument)) return "the text lacks the operation or the argument";
  if (count_cleared() != (has_handle && !is_out(argument))) return "the output handle is not cleared";
  return NULL;
}

static void null_arguments_are_refused(void **state) {
  (void)state;
  int n_faults = 0;
  for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
    for (int missing = 0; missing < 5 && calls[c].arguments[missing]; missing++) {
      const char *fault = refusal_fault(c, missing);
      if (!fault) continue;
      n_faults++;
      print_error("%s without %s: %s (last error: %s)\n", calls[c].op, calls[c].arguments[missing], fault,
                  lat_last_error());
    }
  }
  assert_int_equal(n_faults, 0);
}

static void good_arguments_are_accepted(void **state) {
  (void)state;
  int n_faults = 0;
  for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
    reset_out();
    lat_status status = calls[c].call(-1);
    if (status) {
      n_faults++;
      print_error("%s: %s\n", calls[c].op, lat_last_error());
    } else {
      release_out(strncmp(calls[c].op, "relation_create", 15) == 0);
    }
  }
  assert_int_equal(n_faults, 0);
}

static void releasing_null_is_allowed(void **state) {
  (void)state;
  lat_context_destroy(NULL);
  lat_array_release(NULL);
  lat_coords_release(NULL);
  lat_tensor_release(NULL);
  lat_relation_release(NULL);
  lat_quantization_release(NULL);
  lat_quantized_weight_release(NULL);
  lat_cloud_release(NULL);
  assert_null(lat_array_retain(NULL));
  assert_null(lat_coords_retain(NULL));
  assert_null(lat_tensor_retain(NULL));
  assert_null(lat_relation_retain(NULL));
  assert_null(lat_quantization_retain(NULL));
  assert_null(lat_quantized_weight_retain(NULL));
  assert_null(lat_cloud_retain(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_arguments_are_accepted),
      cmocka_unit_test(null_arguments_are_refused),
      cmocka_unit_test(releasing_null_is_allowed),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
