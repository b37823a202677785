// Rules about the types of values, each met and broken by a graph of one operation; rules about the arrays of parameters.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/artifact.h"
#include "support/artifact_cases.h"
#include "support/io_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

// --- rules of types: small graphs of one operation ------------------------------------------------------------------

#define S32 "!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>"
#define S16 "!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16>"

/// A graph with the inputs %a, %b, %c, %d of the given types, three sparse values of float32 and float16 features, and
/// one operation whose result %y is returned.
static lat_status one_op(const char *const types[4], const char *op, const char *result, lat_model **out) {
  static char text[8192];
  int n =
      snprintf(text, sizeof text,
               "module attributes {lattice.ir_version = 2, lattice.schema_digest = \"" LAT__DIGEST_2 "\",\n"
               "  lattice.input_names = [\"a\", \"b\", \"c\", \"d\", \"r\", \"f\", \"h\", \"n\"],\n"
               "  lattice.input_roles = [\"tensor\", \"tensor\", \"tensor\", \"tensor\", \"tensor\", \"tensor\", "
               "\"tensor\", \"tensor\"],\n"
               "  lattice.output_names = [\"y\"], lattice.output_roles = [\"tensor\"],\n"
               "  lattice.weight_file = \"weights.safetensors\"} {\n"
               "  func.func @forward(%%a: %s, %%b: %s, %%c: %s, %%d: %s, %%r: tensor<?x4xi32>, %%f: tensor<?x4xf32>, "
               "%%h: tensor<?x4xf16>, %%n: tensor<1xi32>) -> %s {\n"
               "    %%s = lattice.sparse.make %%r, %%f, %%n {stride = array<i64: 1, 1, 1>, coord_order = "
               "#lattice.coord<batch_x_y_z>} : (tensor<?x4xi32>, tensor<?x4xf32>, tensor<1xi32>) -> " S32 "\n"
               "    %%t = lattice.sparse.make %%r, %%h, %%n {stride = array<i64: 1, 1, 1>, coord_order = "
               "#lattice.coord<batch_x_y_z>} : (tensor<?x4xi32>, tensor<?x4xf16>, tensor<1xi32>) -> " S16 "\n"
               "    %%w = lattice.weight @w {storage_key = \"w\", layout = #lattice.weight_layout<channel_c>, "
               "packing = #lattice.packing<dense>} : !lattice.weight<channel, f32>\n"
               "    %%l = lattice.weight @l {storage_key = \"l\", layout = #lattice.weight_layout<linear_o_i>, "
               "packing = #lattice.packing<dense>} : !lattice.weight<linear, f32>\n"
               "    %%e = lattice.weight @e {storage_key = \"e\", layout = #lattice.weight_layout<embedding_n_c>, "
               "packing = #lattice.packing<dense>} : !lattice.weight<embedding, f32>\n"
               "    %s\n"
               "    return %%y : %s\n  }\n}\n",
               types[0], types[1], types[2], types[3], result, op, result);
  assert_true(n > 0 && (size_t)n < sizeof text);
  return lat_test_parse_graph(context, text, out);
}

#define MAKE                                                                                                           \
  "%y = lattice.sparse.make %a, %b, %c {stride = array<i64: 1, 1, 1>, coord_order = #lattice.coord<batch_x_y_z>} : "
#define VOX                                                                                                            \
  "%y = lattice.voxelize %a, %b, %c, %d {voxel_size = array<f64: 1.0, 1.0, 1.0>, origin = array<f64: 0.0, 0.0, 0.0>, " \
  "reduction = #lattice.voxel_reduction<sum>, stride = array<i64: 1, 1, 1>} : "
#define DEVOX(voxels)                                                                                                  \
  "%y = lattice.devoxelize %a, " voxels ", %c, %d {voxel_size = array<f64: 1.0, 1.0, 1.0>, origin = array<f64: 0.0, "  \
  "0.0, 0.0>, interpolation = #lattice.point_interpolation<linear>} : "
#define ACTIVATION                                                                                                     \
  "%y = lattice.activation %a {kind = #lattice.activation<relu>, approximate = #lattice.gelu_approx<none>, alpha = "   \
  "0.01 : f32, beta = 1.0 : f32, threshold = 20.0 : f32} : "
#define P "tensor<?x3xf32>"
#define F "tensor<?x2xf32>"
#define H "tensor<?x2xf16>"
#define V "tensor<?xi32>"
#define ONE "tensor<1xi32>"
#define R "tensor<?x4xi32>"
#define ADD(a, b) "%y = lattice.sparse.cat " a ", " b " {join = #lattice.join<outer>} : "

static const struct {
  const char *types[4], *op, *result, *fragment; ///< fragment NULL: accepted
} type_cases[] = {
    {{R, F, ONE, V}, MAKE "(" R ", " F ", " ONE ") -> " S32, S32, NULL},
    {{P, F, ONE, V},
     MAKE "(" P ", " F ", " ONE ") -> " S32,
     S32,
     "coords: got tensor<?x3xf32>, expected tensor<?x4xi32>"},
    {{"tensor<?x?xi32>", F, ONE, V},
     MAKE "(tensor<?x?xi32>, " F ", " ONE ") -> " S32,
     S32,
     "coords: got tensor<?x?xi32>"},
    {{"tensor<?x4xi64>", F, ONE, V},
     MAKE "(tensor<?x4xi64>, " F ", " ONE ") -> " S32,
     S32,
     "coords: got tensor<?x4xi64>"},
    {{R, "tensor<?xf32>", ONE, V},
     MAKE "(" R ", tensor<?xf32>, " ONE ") -> " S32,
     S32,
     "features must have rank 2: got 1"},
    {{R, F, V, V}, MAKE "(" R ", " F ", " V ") -> " S32, S32, "active: got tensor<?xi32>, expected tensor<1xi32>"},
    {{R, F, "tensor<1xi64>", V}, MAKE "(" R ", " F ", tensor<1xi64>) -> " S32, S32, "active: got tensor<1xi64>"},
    {{"tensor<5x4xi32>", "tensor<6x2xf32>", ONE, V},
     MAKE "(tensor<5x4xi32>, tensor<6x2xf32>, " ONE ") -> " S32,
     S32,
     "static row counts must agree: got 5 and 6"},
    {{"tensor<5x4xi32>", "tensor<5x2xf32>", ONE, V},
     MAKE "(tensor<5x4xi32>, tensor<5x2xf32>, " ONE ") -> " S32,
     S32,
     NULL},
    {{R, H, ONE, V},
     MAKE "(" R ", " H ", " ONE ") -> " S32,
     S32,
     "result dtype must match features: got f32, expected f16"},
    {{F, H, ONE, V}, "%y = lattice.sparse.with_features %s, %b : (" S32 ", " H ") -> " S16, S16, NULL},
    {{F, H, ONE, V},
     "%y = lattice.sparse.with_features %s, %b : (" S32 ", " H ") -> " S32,
     S32,
     "result dtype must match features"},
    {{F, V, ONE, V},
     "%y = lattice.sparse.with_features %s, %b : (" S32 ", " V ") -> " S32,
     S32,
     "features must have rank 2"},
    {{F, H, ONE, V}, "%y = lattice.sparse.reindex %s, %t {fill = 0.0 : f32} : (" S32 ", " S16 ") -> " S32, S32, NULL},
    {{F, H, ONE, V},
     "%y = lattice.sparse.reindex %s, %t {fill = 0.0 : f32} : (" S32 ", " S16 ") -> " S16,
     S16,
     "result dtype must match input"},
    {{F, H, ONE, V}, ADD("%s", "%s") "(" S32 ", " S32 ") -> " S32, S32, NULL},
    {{F, H, ONE, V},
     ADD("%s", "%t") "(" S32 ", " S16 ") -> " S32,
     S32,
     "rhs dtype must match result: got f16, expected f32"},
    {{F, H, ONE, V}, ADD("%s", "%s") "(" S32 ", " S32 ") -> " S16, S16, "lhs dtype must match result"},
    {{F, H, ONE, V},
     "%y = lattice.sparse.binary %s, %t {op = #lattice.binary_op<add>, join = #lattice.join<outer>, "
     "lhs_fill = 0.0 : f32, rhs_fill = 0.0 : f32} : (" S32 ", " S16 ") -> " S32,
     S32,
     NULL},
    {{F, H, ONE, V},
     "%u, %y, %z = lattice.sparse.decompose %s : " S32 " -> (" P ", " F ", " ONE ")",
     F,
     "result coords: got"},
    {{F, H, ONE, V},
     "%u, %y, %z = lattice.sparse.decompose %s : " S32 " -> (" R ", " H ", " ONE ")",
     H,
     "result features dtype"},
    {{F, H, ONE, V},
     "%u, %y, %z = lattice.sparse.decompose %s : " S32 " -> (" R ", " V ", " ONE ")",
     V,
     "result features must have rank 2"},
    {{F, H, ONE, V},
     "%u, %y, %z = lattice.sparse.decompose %s : " S32 " -> (" R ", " F ", " V ")",
     F,
     "result active: got"},
    {{F, H, ONE, V},
     "%y = lattice.global_pool %s {mode = #lattice.pool_mode<sum>, batch_size = -1} : (" S32 ") -> " V,
     V,
     "result must have rank 2: got 1"},
    {{F, H, ONE, V},
     "%y = lattice.global_pool %s {mode = #lattice.pool_mode<sum>, batch_size = -1} : (" S32 ") -> " H,
     H,
     "result dtype must match input"},
    {{P, F, V, ONE}, VOX "(" P ", " F ", " V ", " ONE ") -> " S32, S32, NULL},
    {{F, F, V, ONE},
     VOX "(" F ", " F ", " V ", " ONE ") -> " S32,
     S32,
     "points: got tensor<?x2xf32>, expected tensor<?x3xf32>"},
    {{P, H, V, ONE}, VOX "(" P ", " H ", " V ", " ONE ") -> " S16, S16, "features: got tensor<?x2xf16>"},
    {{P, F, "tensor<?xi64>", ONE},
     VOX "(" P ", " F ", tensor<?xi64>, " ONE ") -> " S32,
     S32,
     "batch_indices: got tensor<?xi64>"},
    {{P, F, V, V},
     VOX "(" P ", " F ", " V ", " V ") -> " S32,
     S32,
     "active_rows: got tensor<?xi32>, expected tensor<1xi32>"},
    {{P, F, V, ONE}, VOX "(" P ", " F ", " V ", " ONE ") -> " S16, S16, "result dtype must match features"},
    {{"tensor<3x3xf32>", F, "tensor<4xi32>", ONE},
     VOX "(tensor<3x3xf32>, " F ", tensor<4xi32>, " ONE ") -> " S32,
     S32,
     "static row counts must agree"},
    {{P, F, V, ONE}, DEVOX("%s") "(" P ", " S32 ", " V ", " ONE ") -> " F, F, NULL},
    {{P, F, V, V}, DEVOX("%s") "(" P ", " S32 ", " V ", " V ") -> " F, F, "point_active_rows: got"},
    {{P, F, V, ONE}, DEVOX("%s") "(" P ", " S32 ", " V ", " ONE ") -> " H, H, "result: got tensor<?x2xf16>"},
    {{P, F, V, ONE}, DEVOX("%t") "(" P ", " S16 ", " V ", " ONE ") -> " F, F, "result dtype must match voxels"},
    {{F, H, ONE, V}, "%y = lattice.linear %a, %l : (" F ", !lattice.weight<linear, f32>) -> " F, F, NULL},
    {{V, H, ONE, V},
     "%y = lattice.linear %a, %l : (" V ", !lattice.weight<linear, f32>) -> " F,
     F,
     "linear: input must have rank 2: got 1"},
    {{F, H, ONE, V},
     "%y = lattice.linear %a, %l : (" F ", !lattice.weight<linear, f32>) -> " V,
     V,
     "linear: result must have rank 2"},
    {{F, H, ONE, V},
     "%y = lattice.linear %a, %l : (" F ", !lattice.weight<linear, f32>) -> " H,
     H,
     "linear: result dtype must match input"},
    {{F, H, ONE, V},
     "%y = lattice.linear %a, %w : (" F ", !lattice.weight<channel, f32>) -> " F,
     F,
     "operand weight: got weight family channel, expected linear"},
    {{F, H, ONE, V},
     "%y = lattice.linear %a, %b : (" F ", " H ") -> " F,
     F,
     "operand weight: got a tensor, expected a weight"},
    {{F, H, ONE, V}, ACTIVATION "(" F ") -> " H, H, "activation: result dtype must match input"},
    {{F, H, ONE, V},
     "%y = lattice.rms_norm %a, %w {eps = -1.0 : f32} : (" F ", !lattice.weight<channel, f32>) -> " F,
     F,
     "eps must be positive: got -1"},
    {{F, H, ONE, V},
     "%y = lattice.rms_norm %a, %l {eps = 1.0 : f32} : (" F ", !lattice.weight<linear, f32>) -> " F,
     F,
     "operand scale: got weight family linear, expected channel"},
    {{F, H, ONE, V},
     "%y = lattice.elementwise %b {kind = \"exp\"} : (" H ") -> " H,
     H,
     "elementwise: input: got tensor<?x2xf16>"},
    {{F, H, ONE, V},
     "%y = lattice.elementwise %a {kind = \"log\"} : (" F ") -> " F,
     F,
     "kind: got 'log', expected one of: exp, round"},
    {{F, H, ONE, V},
     "%y = lattice.elementwise %a {kind = exp} : (" F ") -> " F,
     F,
     "syntax: got 'exp', expected a string"},
    {{F, H, ONE, V}, "%y = lattice.softmax %a {axis = 1} : (" F ") -> " F, F, NULL},
    {{F, H, ONE, V}, "%y = lattice.softmax %a {axis = 0} : (" F ") -> " F, F, "axis must be -1 or 1: got 0"},
    {{F, H, ONE, V}, "%y = lattice.softmax %a {axis = 1} : (" F ") -> " V, V, "softmax: result: got tensor<?xi32>"},
    {{V, H, ONE, V}, "%y = lattice.embedding_lookup %a, %e : (" V ", !lattice.weight<embedding, f32>) -> " F, F, NULL},
    {{F, H, ONE, V},
     "%y = lattice.embedding_lookup %a, %e : (" F ", !lattice.weight<embedding, f32>) -> " F,
     F,
     "embedding_lookup: input: got"},
    {{V, H, ONE, V},
     "%y = lattice.embedding_lookup %a, %e : (" V ", !lattice.weight<embedding, f32>) -> " H,
     H,
     "embedding_lookup: result: got"},
};

static void types_of_operations(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof type_cases / sizeof *type_cases; i++) {
    lat_model *model = NULL;
    lat_status status = one_op(type_cases[i].types, type_cases[i].op, type_cases[i].result, &model);
    if (!type_cases[i].fragment) {
      lat_test_assert_ok(status);
    } else {
      if (status == LAT_STATUS_OK) fail_msg("accepted: %s", type_cases[i].op);
      lat_test_assert_error(status, LAT_STATUS_BAD_DATA, type_cases[i].fragment);
      assert_null(model);
    }
    lat_model_release(model);
  }
}

// --- parameters -----------------------------------------------------------------------------------------------------

/// Saves the graph of all operations with good parameters, then replaces its weights by those without or with other
/// arrays.
static void arrays_of_parameters(void **state) {
  (void)state;
  static float zeros[4 * 27 * 4];
  const int64_t conv[5] = {4, 3, 3, 3, 4}, other[5] = {4, 3, 1, 3, 4};
  const lat_array_view vector = lat_view_1d(zeros, LAT_DTYPE_F32, 4), matrix = lat_view_2d(zeros, LAT_DTYPE_F32, 4, 4);
  const int64_t words[3] = {1, 4, 8}, groups[3] = {1, 4, 1};
  const lat_array_view kernel = lat_view(zeros, LAT_DTYPE_F32, 5, conv),
                       wrong = lat_view(zeros, LAT_DTYPE_F32, 5, other);
  const lat_array_view codes = lat_view(zeros, LAT_DTYPE_U32, 3, words),
                       scales = lat_view(zeros, LAT_DTYPE_F32, 3, groups);
  const lat_array_view half = lat_view(zeros, LAT_DTYPE_F16, 3, groups), ints = lat_view_1d(zeros, LAT_DTYPE_I32, 4);
  const lat_named_array good[] = {{"conv.weight", kernel}, {"conv.bias", vector}, {"norm.weight", vector},
                                  {"head.weight", matrix}, {"table", matrix},     {"q.weight", codes},
                                  {"q.scales", scales},    {"q.biases", scales},  {"unused", vector}};
  enum { N = sizeof good / sizeof *good };
  const struct {
    int index;
    const char *name;
    lat_array_view array;
    const char *fragment; ///< NULL: accepted
  } cases[] = {
      {8, "unused", vector, NULL},
      {0, "conv.wait", kernel, "artifact weight not found: conv.weight"},
      {0, "conv.weight", matrix, "parameter 'conv.weight': rank: got 2, expected 5 for weight family conv3d"},
      {0, "conv.weight", wrong, "kernel_size does not match weight 'conv.weight': got 3, expected 1"},
      {1, "conv.bias", ints, "parameter 'conv.bias': dtype must be float32, float16 or bfloat16"},
      {2, "norm.weight", matrix, "rank: got 2, expected 1 for weight family channel"},
      {5, "q.words", codes, "quantized artifact weight requires q.weight, .scales and .biases: got no .weight"},
      {6, "q.scale", scales, "quantized artifact weight requires q.weight, .scales and .biases: got no .scales"},
      {7, "q.bias", scales, "got no .biases"},
      {6, "q.scales", half, "parameter 'q': scales dtype mismatch"},
      {7, "q.biases", half, "scales and biases must have one shape"},
      {5, "q.weight", scales, "packed words must be uint32 of rank 3"},
  };
  lat_model *model = NULL;
  char weights[1200];
  lat_test_folder_make();
  const char *folder = lat_test_folder_path("net");
  snprintf(weights, sizeof weights, "%s/weights.safetensors", folder);
  lat_test_assert_ok(lat_test_parse_graph(context, lat_test_graph("all"), &model));
  lat_test_assert_ok(lat_test_fill_parameters(context, model, lat_triple_all(3), 4));
  lat_test_assert_ok(lat_model_save(context, model, folder));
  lat_model_release(model);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lat_named_array arrays[N];
    memcpy(arrays, good, sizeof arrays);
    arrays[cases[i].index] = (lat_named_array){cases[i].name, cases[i].array};
    lat_test_assert_ok(lat_safetensors_write(context, weights, arrays, N));
    lat_status status = lat_model_load(context, folder, NULL, &model);
    if (cases[i].fragment) {
      lat_test_assert_error(status, LAT_STATUS_BAD_DATA, cases[i].fragment);
      assert_null(model);
    } else {
      lat_test_assert_ok(status);
    }
    lat_model_release(model);
  }
  remove(weights);
  char graph[1200];
  snprintf(graph, sizeof graph, "%s/graph.mlir", folder);
  remove(graph);
  remove(folder);
  lat_test_folder_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(types_of_operations, set_up, tear_down),
      cmocka_unit_test_setup_teardown(arrays_of_parameters, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
