// NULL for every pointer argument of every public function that reports a status: refused with a text that names the
// operation and the argument, and the output handle is cleared. The headers are read to see that no function is forgotten:
// a function stands in the table below, or a unit test that refuses its NULLs says so in a line `// null arguments: names`.
//
// A call passes good arguments but the one numbered `missing`, which is NULL; -1 leaves all of them good, and the call
// must then succeed, so that a refusal is due to the NULL alone.

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/good_arguments.h"

static const int64_t shape[2] = {GOOD_ROWS, GOOD_CHANNELS};

/// Where calls write. Before a call every handle holds the good one, so that clearing and success both show.
static struct {
  lat_context *context;
  lat_array *array;
  lat_coords *coords;
  lat_tensor *tensor;
  lat_relation *relation;
  lat_neighbors *neighbors;
  lat_quantized_weight *packed;
  lat_quantization *quantization;
  lat_cloud *cloud;
  lat_relation_edge_list edges;
  lat_relation_csr csr;
  double gflops;
} out;

static void reset_out(void) {
  out.context = good.context;
  out.array = good.array;
  out.coords = good.coords;
  out.tensor = good.tensor;
  out.relation = good.relation;
  out.neighbors = good.neighbors;
  out.packed = good.packed;
  out.quantization = good.quantization;
  out.cloud = good.cloud;
}

/// How many handles the call cleared.
static int count_cleared(void) {
  return !out.context + !out.array + !out.coords + !out.tensor + !out.relation + !out.neighbors + !out.packed +
         !out.quantization + !out.cloud;
}

/// Releases what a successful call made. (A cached relation may be the good one itself, with one more reference.)
static void release_out(int relation_made) {
  if (out.context != good.context) lat_context_destroy(out.context);
  if (out.array != good.array) lat_array_release(out.array);
  if (out.coords != good.coords) lat_coords_release(out.coords);
  if (out.tensor != good.tensor) lat_tensor_release(out.tensor);
  if (relation_made) lat_relation_release(out.relation);
  if (out.neighbors != good.neighbors) lat_neighbors_release(out.neighbors);
  if (out.packed != good.packed) lat_quantized_weight_release(out.packed);
  if (out.quantization != good.quantization) lat_quantization_release(out.quantization);
  if (out.cloud != good.cloud) lat_cloud_release(out.cloud);
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

static lat_status measure_fma_peak(int missing) {
  return lat_measure_fma_peak(context(missing), 1e-6, missing == 1 ? NULL : &out.gflops);
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

static lat_status neighbors_create_radius(int missing) {
  return lat_neighbors_create_radius(context(missing), unless(missing == 1, good.coords), NULL, &good.radius,
                                     missing == 2 ? NULL : &out.neighbors);
}

static lat_status gather_neighbor_features(int missing) {
  return lat_gather_neighbor_features(context(missing), unless(missing == 1, &good.feat_view),
                                      unless(missing == 2, good.neighbors), missing == 3 ? NULL : &out.array);
}

static lat_status conv3d(int missing) {
  return lat_conv3d(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, &good.conv_weight), NULL,
                    NULL, missing == 3 ? NULL : &out.tensor);
}

static lat_status subm_conv3d(int missing) {
  return lat_subm_conv3d(context(missing), unless(missing == 1, good.tensor), unless(missing == 2, &good.conv_weight),
                         NULL, NULL, missing == 3 ? NULL : &out.tensor);
}

static lat_status conv3d_algorithm(int missing) {
  return lat_conv3d_algorithm(context(missing), unless(missing == 1, good.tensor),
                              unless(missing == 2, &good.conv_weight), NULL, missing == 3 ? NULL : good.name,
                              sizeof good.name);
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

static lat_status normalized_cdf(int missing) {
  return lat_normalized_cdf(context(missing), unless(missing == 1, &good.feat_view), missing == 2 ? NULL : &out.array);
}

/// The coders have arguments of one shape: a table of distributions, then symbols or a stream.
typedef lat_status (*coder)(lat_context *context, const lat_array_view *table, const lat_array_view *data,
                            lat_array **out);

static lat_status code(coder function, int missing, const lat_array_view *table, const lat_array_view *data) {
  return function(context(missing), unless(missing == 1, table), unless(missing == 2, data),
                  missing == 3 ? NULL : &out.array);
}

static lat_status range_encode(int missing) {
  return code(lat_range_encode, missing, &good.cdf_view, &good.symbol_view);
}

static lat_status range_decode(int missing) {
  return code(lat_range_decode, missing, &good.cdf_view, &good.range_view);
}

static lat_status range_encode_from_prob(int missing) {
  return code(lat_range_encode_from_prob, missing, &good.feat_view, &good.symbol_view);
}

static lat_status range_decode_from_prob(int missing) {
  return code(lat_range_decode_from_prob, missing, &good.feat_view, &good.range_view);
}

static lat_status rans_encode_from_prob(int missing) {
  return code(lat_rans_encode_from_prob, missing, &good.feat_view, &good.symbol_view);
}

static lat_status rans_decode_from_prob(int missing) {
  return code(lat_rans_decode_from_prob, missing, &good.feat_view, &good.rans_view);
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

static lat_status cloud_write_las(int missing) {
  return lat_cloud_write_las(context(missing), unless(missing == 1, good.cloud), unless(missing == 2, good.cloud_path),
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
    {"measure_fma_peak", {"context", "gflops"}, measure_fma_peak},
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
    {"neighbors_create_radius", {"context", "sources", "out"}, neighbors_create_radius},
    {"gather_neighbor_features", {"context", "features", "neighbors", "out"}, gather_neighbor_features},
    {"conv3d", {"context", "x", "weight", "out"}, conv3d},
    {"subm_conv3d", {"context", "x", "weight", "out"}, subm_conv3d},
    {"conv3d_algorithm", {"context", "x", "weight", "name"}, conv3d_algorithm},
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
    {"normalized_cdf", {"context", "prob", "out"}, normalized_cdf},
    {"range_encode", {"context", "cdf", "symbols", "out"}, range_encode},
    {"range_decode", {"context", "cdf", "stream", "out"}, range_decode},
    {"range_encode_from_prob", {"context", "prob", "symbols", "out"}, range_encode_from_prob},
    {"range_decode_from_prob", {"context", "prob", "stream", "out"}, range_decode_from_prob},
    {"rans_encode_from_prob", {"context", "prob", "symbols", "out"}, rans_encode_from_prob},
    {"rans_decode_from_prob", {"context", "prob", "stream", "out"}, rans_decode_from_prob},
    {"cloud_read", {"context", "path", "out"}, cloud_read},
    {"cloud_create", {"context", "positions", "out"}, cloud_create},
    {"cloud_add_field", {"context", "cloud", "name", "values"}, cloud_add_field},
    {"cloud_write_ply", {"context", "cloud", "path"}, cloud_write_ply},
    {"cloud_write_las", {"context", "cloud", "path"}, cloud_write_las},
    {"image_write_png", {"context", "image", "path"}, image_write_png},
};

#define N_CALLS (sizeof calls / sizeof calls[0])

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
  for (size_t c = 0; c < N_CALLS; c++) {
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
  for (size_t c = 0; c < N_CALLS; c++) {
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

#define MAX_MARKS 65536

/// The lines `// null arguments: names` of all unit tests, with a space around every name.
static char marks[MAX_MARKS];

static void read_marks(const char *path) {
  char line[512];
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, "// null arguments:", 18) != 0) continue;
    line[strcspn(line, "\n")] = ' ';
    assert_true(strlen(marks) + strlen(line) < sizeof marks);
    strcat(marks, line + 18);
  }
  fclose(file);
}

static int is_marked(const char *name, size_t length) {
  char spaced[128];
  snprintf(spaced, sizeof spaced, " lat_%.*s ", (int)length, name);
  return strstr(marks, spaced) != NULL;
}

/// Counts the functions of a header that report a status, and those of them that the table and the marks lack.
static int count_declared(const char *path, int *n_unknown) {
  char line[512];
  int n_declared = 0;
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file)) {
    const char *declared = strstr(line, "LAT_CHECKED lat_status lat_");
    if (!declared) continue;
    const char *name = declared + strlen("LAT_CHECKED lat_status lat_");
    size_t length = strcspn(name, "("), c = 0;
    while (c < N_CALLS && (strncmp(calls[c].op, name, length) != 0 || calls[c].op[length] != '\0')) c++;
    if (c == N_CALLS && is_marked(name, length)) continue;
    if (c == N_CALLS) {
      print_error("%s: lat_%.*s is not in the table of this test\n", path, (int)length, name);
      ++*n_unknown;
    }
    n_declared++;
  }
  fclose(file);
  return n_declared;
}

/// Calls `visit` with the path of every file of a folder below the source root.
static void visit_folder(const char *folder_name, void (*visit)(const char *path)) {
  char path[1024], relative[512];
  lat_test_source_path(folder_name, path, sizeof path);
  DIR *folder = opendir(path);
  assert_non_null(folder);
  for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    snprintf(relative, sizeof relative, "%s/%.255s", folder_name, entry->d_name);
    lat_test_source_path(relative, path, sizeof path);
    visit(path);
  }
  closedir(folder);
}

static int n_declared_calls, n_unknown_calls;

static void visit_header(const char *path) {
  n_declared_calls += count_declared(path, &n_unknown_calls);
}

static void table_is_complete(void **state) {
  (void)state;
  visit_folder("tests/unit", read_marks);
  visit_folder("include/lattice", visit_header);
  assert_int_equal(n_unknown_calls, 0);
  assert_int_equal(n_declared_calls, N_CALLS);
}

static void releasing_null_is_allowed(void **state) {
  (void)state;
  lat_context_destroy(NULL);
  lat_array_release(NULL);
  lat_coords_release(NULL);
  lat_tensor_release(NULL);
  lat_relation_release(NULL);
  lat_neighbors_release(NULL);
  lat_quantization_release(NULL);
  lat_quantized_weight_release(NULL);
  lat_cloud_release(NULL);
  assert_null(lat_array_retain(NULL));
  assert_null(lat_coords_retain(NULL));
  assert_null(lat_tensor_retain(NULL));
  assert_null(lat_relation_retain(NULL));
  assert_null(lat_neighbors_retain(NULL));
  assert_null(lat_quantization_retain(NULL));
  assert_null(lat_quantized_weight_retain(NULL));
  assert_null(lat_cloud_retain(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_is_complete),
      cmocka_unit_test(good_arguments_are_accepted),
      cmocka_unit_test(null_arguments_are_refused),
      cmocka_unit_test(releasing_null_is_allowed),
  };
  return cmocka_run_group_tests(tests, good_arguments_set_up, good_arguments_tear_down);
}
