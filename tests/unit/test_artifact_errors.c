// One broken graph for each rule of artifacts: the rule is named, with the place in the text.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/artifact.h"
#include "support/artifact_cases.h"
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

/// `from` behind `anchor` becomes `to`; the message has `fragment`, and the anchor's line unless `elsewhere`.
typedef struct broken {
  const char *anchor, *from, *to, *fragment;
  int elsewhere;
} broken;

static void check(const char *graph, const broken *b) {
  int line = 0;
  char place[48];
  lat_model *model = NULL;
  char *text = lat_test_replace(graph, b->anchor, b->from, b->to, &line);
  lat_status status = lat_test_parse_graph(context, text, &model);
  snprintf(place, sizeof place, "model_parse: graph:%d:", line);
  if (status == LAT_STATUS_OK) fail_msg("'%s' -> '%s' behind '%s' was accepted", b->from, b->to, b->anchor);
  lat_test_assert_error(status, LAT_STATUS_BAD_DATA, b->fragment);
  if (!b->elsewhere) lat_test_assert_error(status, LAT_STATUS_BAD_DATA, place);
  assert_null(model);
  free(text);
}

static void check_all(const char *graph, const broken *cases, size_t n) {
  for (size_t i = 0; i < n; i++) check(graph, &cases[i]);
}

#define CHECK_ALL(graph, cases) check_all(graph, cases, sizeof cases / sizeof *cases)

static void the_module_header(void **state) {
  (void)state;
  static const broken cases[] = {
      {"module", "lattice.ir_version = 2,", "", "requires the integer attribute lattice.ir_version", 0},
      {"lattice.ir_version", "2", "\"2\"", "lattice.ir_version must be an integer", 0},
      {"lattice.ir_version", "2", "2.0", "lattice.ir_version must be an integer", 0},
      {"module", "ir_version = 2", "ir_version = 1", "unsupported lattice.ir_version: 1 (expected 2)", 0},
      {"module", "ir_version = 2", "ir_version = 4", "unsupported lattice.ir_version: 4 (expected 2)", 0},
      {"module", "ir_version = 2", "ir_version = 3", "unsupported lattice.schema_digest", 0},
      {"module", "1380f", "1381f", "unsupported lattice.schema_digest: got 1381f1e8", 0},
      {"module", "lattice.schema_digest", "lattice.digest", "unsupported lattice.schema_digest: got none", 0},
      {"module", "weights.safetensors", "w.safetensors", "unsupported lattice.weight_file: got w.safetensors", 0},
      {"module", "lattice.weight_file", "lattice.file", "unsupported lattice.weight_file: got none", 0},
      {"module", "lattice.input_names", "lattice.names", "requires the string array lattice.input_names", 0},
      {"module", "lattice.input_roles", "lattice.roles", "requires the string array lattice.input_roles", 0},
      {"module", "lattice.output_names", "lattice.names", "requires the string array lattice.output_names", 0},
      {"module", "lattice.output_roles", "lattice.roles", "requires the string array lattice.output_roles", 0},
      {"lattice.input_names", "\"points\", ", "",
       "lattice.input_names must match the function: got 3 entries, expected 4", 0},
      {"lattice.input_roles", "\"tensor\", ", "", "lattice.input_roles must match the function: got 3 entries", 0},
      {"lattice.output_names", "\"output\"", "\"a\", \"b\"", "lattice.output_names must match the function: got 2", 0},
      {"lattice.output_roles", "\"tensor\"", "", "lattice.output_roles must match the function: got 0", 0},
      {"lattice.input_names", "\"points\"", "\"\"", "lattice.input_names must be non-empty", 0},
      {"lattice.input_names", "\"points\"", "\"features\"", "must be unique: got 'features' twice", 0},
      {"lattice.output_names", "\"output\"", "\"\"", "lattice.output_names must be non-empty", 0},
      {"lattice.input_roles", "\"tensor\"", "\"sparse_tensor\"", "unsupported role 'sparse_tensor'", 0},
      {"lattice.output_roles", "\"tensor\"", "\"sparse_coords\"", "unsupported role 'sparse_coords'", 0},
      {"lattice.input_names", "\"points\"", "7", "expected a string", 0},
      {"lattice.weight_file", "lattice.weight_file", "lattice.ir_version", "got attribute 'lattice.ir_version' twice",
       0},
      {"module", "module", "modul", "syntax: got 'modul', expected 'module'", 0},
  };
  CHECK_ALL(lat_test_graph("points"), cases);
}

static void the_function(void **state) {
  (void)state;
  static const broken cases[] = {
      {"func.func", "@forward", "@main", "func.func must be named @forward (entry must be forward): got @main", 0},
      {"func.func", "func.func", "func.call", "requires exactly one func.func entry named @forward", 0},
      {"return %out", "}\n}", "}\n func.func @g() {}\n}", "supports exactly one func.func entry", 1},
      {"func.func", "func.func", "foo\n  func.func", "supports exactly one func.func entry and nothing else: got 'foo'",
       0},
      {"func.func", ") -> tensor<?x2xf32> {", ") {", "must return at least one value", 0},
      {"func.func", ") -> tensor<?x2xf32> {", ") -> () {", "must return at least one value", 0},
      {") -> tensor<?x2xf32> {", "f32> {", "f32>\n}", "must have a body", 1},
      {"%vox = ", "%vox", "^bb0:\n    ^bb1:\n %vox", "must have exactly one block", 1},
      {"return %out", "f32>\n", "f32>\n  ^bb1:\n", "must have exactly one block", 1},
      {"%vox = lattice", "%vox = lattice", "%k = arith.constant\n    %vox = lattice",
       "may contain only lattice operations and func.return: got 'arith.constant'", 0},
      {"%vox = lattice", "lattice.voxelize", "\"lattice.voxelize\"", "the generic form of operations is not read", 0},
      {"return %out", "return %out", "return %oot", "return uses undefined value %oot", 0},
      {"return %out", "return %out :", "return %out, %out :", "return: got more values than the function has results",
       0},
      {"return %out", "return %out : tensor<?x2xf32>", "return", "return: got 0 values, expected 1", 0},
      {"return %out", "x2xf32>", "x2xf32>, tensor<?x2xf32>", "return: got more types than values", 0},
      {"return %out", "x2xf32", "x3xf32", "return: type 0: got tensor<?x3xf32>, expected tensor<?x2xf32>", 0},
      {") -> tensor<?x2xf32> {", "x2xf32", "x9xf32", "return: type 0: got tensor<?x2xf32>, expected tensor<?x9xf32>",
       1},
      {"return %out", "return", "retrun", "may contain only lattice operations and func.return: got 'retrun'", 0},
      {"return %out", "return %out : tensor<?x2xf32>\n", "", "expected func.return", 1},
      {"%batch_indices: tensor", "%batch_indices", "%points", "duplicate runtime value label: %points", 0},
      {"%out = ", "%out", "%vox", "duplicate runtime value label: %vox is defined twice", 0},
      {"%vox = ", "%points", "%pointz", "lattice.voxelize uses undefined value %pointz", 0},
      {"%vox = ", "lattice.voxelize", "lattice.voxel", "unknown lattice operation of version 2: lattice.voxel", 0},
      {"%vox = ", "lattice.voxelize", "lattice.to_dense", "unknown lattice operation of version 2: lattice.to_dense",
       0},
      {"return %out", "}\n}\n", "}\n}\n}", "expected the end of the text", 1},
      {"return %out", "}\n}\n", "}", "syntax: got the end of the text, expected '}'", 1},
  };
  CHECK_ALL(lat_test_graph("points"), cases);
}

static void syntax(void **state) {
  (void)state;
  static const broken cases[] = {
      {"%vox = ", "=", "&", "syntax: got '&', which begins nothing", 0},
      {"%vox = ", "%vox", "%", "syntax: got '%' without a name", 0},
      {"lattice.weight_file", "safetensors\"", "safetensors", "syntax: got a string without end", 0},
      {"lattice.weight_file", "weights", "\\zz", "syntax: got an unknown escape in a string", 0},
      {"lattice.input_names", "points", "\xc3\xa9\\C3", "bytes that are no UTF-8", 0},
      {"lattice.input_names", "points", "\xed\xa0\x80", "bytes that are no UTF-8", 0},
      {"lattice.input_names", "points", "\xe0\x80\x80", "bytes that are no UTF-8", 0},
      {"lattice.input_names", "points", "\xf5\x80\x80\x80", "bytes that are no UTF-8", 0},
      {"lattice.weight_file", "weights", "\\00", "syntax: got an unknown escape in a string", 0},
      {"%points: tensor", "tensor<?x3xf32>", "memref<?x3xf32>", "expected a type: tensor<", 0},
      {"%points: tensor", "?x3xf32", "?x3xf31", "tensor type: got 'tensor<?x3xf31>'", 0},
      {"%points: tensor", "?x3xf32", "?x3", "tensor type: got 'tensor<?x3>'", 0},
      {"%points: tensor", "?x3xf32", "?x99999999999999999999xf32", "tensor type: axis is too long", 0},
      {"%points: tensor", "?x3xf32", "1x1x1x1x1x1x1xf32", "tensor type: got more than 6 axes", 0},
      {"%points: tensor", "?x3xf32>", "?x3xf32", "tensor type: got 'tensor<?x3xf32,%features:tensor<?x2xf32>'", 0},
      {"-> !lattice", "rank = 3", "rank = 2", "sparse tensor type: rank: got 2, expected 3", 0},
      {"-> !lattice", "batch_x_y_z", "batch_z_y_x", "coord: got batch_z_y_x, expected batch_x_y_z", 0},
      {"-> !lattice", "row_channel", "channel_row", "feature: got channel_row, expected row_channel", 0},
      {"-> !lattice", "dtype = f32", "dtype = f33", "syntax: got 'f33', expected an element type", 0},
      {"-> !lattice", "rank = 3, coord", "coord", "syntax: got 'coord', expected 'rank'", 0},
      {"-> !lattice", "sparse_tensor", "sparse_array", "expected a type", 0},
      {"{voxel_size", "1.0, 1.0, 1.0>", "1.0, 1.0>", "lattice.voxelize: voxel_size: got 2 values, expected 3", 0},
      {"{voxel_size", "1.0, 1.0, 1.0>", "1.0, 1.0, 1.0, 1.0>", "got 4 values, expected 3", 0},
      {"{voxel_size", "array<f64", "array<i64", "syntax: got 'i64', expected 'f64'", 0},
      {"{voxel_size", "1.0, 1.0, 1.0>", "1.0, one, 1.0>", "syntax: got 'one', expected a number", 0},
      {"reduction =", "array<i64: 1, 1, 1>", "array<i64: 1, 1.5, 1>", "expected a whole number", 0},
      {"reduction =", "array<i64: 1, 1, 1>", "array<i64: 1, 99999999999999999999, 1>", "a whole number of 64 bits", 0},
      {"reduction =", "#lattice.voxel_reduction", "#lattice.reduction", "expected #lattice.voxel_reduction<", 0},
      {"reduction =", "mean", "median", "reduction: got 'median', expected one of: mean, sum", 0},
      {"reduction =", "mean", "max", "reduction: got 'max', expected one of: mean, sum", 0},
      {"interpolation =", "nearest", "cubic", "got 'cubic', expected one of: linear, nearest", 0},
      {"%vox = ", "%vox", "%vox, %box", "result count: got 2 names and 1 types, expected 1", 0},
      {"%vox = ", "%vox = ", "", "result count: got 0 names and 1 types, expected 1", 0},
      {"%vox = ", "%vox", "%vox:4", "result count: got 4", 0},
      {"%vox = ", "%vox", "%vox#0", "expected a value's name", 0},
      {"%vox = ", "(tensor<?x3xf32>, ", "(", "operand types: got 3 types, expected one for each of 4 operands", 0},
      {"%vox = ", "(tensor<?x3xf32>", "(tensor<?x4xf32>", "operand 0: got tensor<?x4xf32>, expected its value's type",
       0},
      {"%vox = ", "-> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>",
       "-> tensor<?x4xf32>", "result 0: got a tensor, expected a sparse tensor", 0},
      {"%vox = ", ", %active_rows", "", "SSA operands: got 3, expected 4 to 4", 0},
      {"%vox = ", "%active_rows", "%active_rows, %points", "SSA operands: got 5, expected 4 to 4", 0},
      {"%out = ", "%vox", "%features", "lattice.devoxelize: operand 1: got", 0},
      {"{voxel_size", "stride = array<i64: 1, 1, 1>", "strides = array<i64: 1, 1, 1>",
       "unknown attrs in version 2: strides", 1},
      {"{voxel_size", "origin", "voxel_size", "got attribute 'voxel_size' twice", 0},
      {"       reduction", ", stride = array<i64: 1, 1, 1>", "", "missing required attrs: stride", 1},
  };
  CHECK_ALL(lat_test_graph("points"), cases);
}

static void weights(void **state) {
  (void)state;
  static const broken cases[] = {
      {"%w = ", "\"conv.weight\"", "\"\"", "lattice.weight: storage_key must be non-empty", 0},
      {"%w = ", "conv3d_o_xyz_i", "linear_o_i", "layout linear_o_i does not belong to weight family conv3d", 0},
      {"%b = ", "bias_c", "channel_c", "layout channel_c does not belong to weight family bias", 0},
      {"%w = ", "conv3d_o_xyz_i", "o_i_xyz", "layout: got 'o_i_xyz', expected one of: conv3d_o_xyz_i", 0},
      {"%w = ", "!lattice.weight<conv3d", "!lattice.weight<conv2d", "weight type: got family conv2d", 0},
      {"%e = ", "packing<dense>", "packing<int8, group_size = 32, scale_dtype = f16, mode = affine>",
       "int8 packing needs weight family conv3d or linear: got embedding", 0},
      {"%q = ", "group_size = 32", "group_size = 0", "group_size must be positive: got 0", 0},
      {"%q = ", "scale_dtype = f32", "scale_dtype = bf16", "scale_dtype: got 'bf16', expected f16 or f32", 0},
      {"%q = ", "mode = affine", "mode = symmetric", "mode: got 'symmetric', expected affine", 0},
      {"%q = ", "int8", "int2", "syntax: got 'int2', expected dense, int4 or int8", 0},
      {"%q = ", "int8, group_size = 32, ", "int8, ", "expected 'group_size'", 0},
      {"%q = ", "#lattice.packing", "#lattice.pack", "expected #lattice.packing<", 0},
      {"%b = ", "\"conv.bias\"", "\"conv.weight\"", "storage_key 'conv.weight' is used with another family", 0},
      {"%q = ", "\"q\"", "\"head.weight\"", "storage_key 'head.weight' is used with another family or packing", 0},
      {"%w = ", "@w ", "", "expected the weight's symbol", 0},
      {"%w = ", "storage_key = \"conv.weight\", ", "", "missing required attrs: storage_key", 0},
      {"%w = ", "\"conv.weight\"", "7", "syntax: got '7', expected a string", 0},
  };
  CHECK_ALL(lat_test_graph("all"), cases);
}

static void convolutions(void **state) {
  (void)state;
  static const broken cases[] = {
      {"%k0 = ", "%w", "%l", "got !lattice.weight<conv3d, f32>, expected its value's type !lattice.weight<linear, f32>",
       0},
      {"%k0 = ", "%x, %w, %b", "%x, %b, %w", "operand 1: got", 0},
      {"%k0 = ", "kernel_size = array<i64: 3, 3, 3>", "kernel_size = array<i64: 3, 0, 3>",
       "conv3d: kernel_size must be positive: got 0", 0},
      {"%k0 = ", "kernel_size = array<i64: 3, 3, 3>", "kernel_size = array<i64: 3, 3, 4294967299>",
       "must be 32-bit numbers", 0},
      {"%k0 = ", "stride = array<i64: 1, 1, 1>", "stride = array<i64: -1, 1, 1>", "stride must be positive: got -1", 0},
      {"%k0 = ", "dilation = array<i64: 1, 1, 1>", "dilation = array<i64: 1, 1, 0>", "dilation must be positive: got 0",
       0},
      {"%k0 = ", "padding = array<i64: 0, 0, 0>", "padding = array<i64: 0, -2, 0>",
       "padding must be non-negative: got -2", 0},
      {"%k0 = ", ", accumulation = \"canonical_f32\"", "", "requires accumulation = \"canonical_f32\"", 0},
      {"%k0 = ", "canonical_f32", "fast", "requires accumulation = \"canonical_f32\"", 0},
      {"%k0 = ", "canonical_f32", "fast", "accumulation must be canonical_f32", 0},
      {"%k0 = ", "padding = array<i64: 0, 0, 0>, ", "", "conv3d: missing required attrs: padding", 0},
      {"%k0 = ", "padding", "groups = 2, padding", "conv3d: unknown attrs in version 2: groups", 0},
      {"%k1 = ", "3, 3, 3", "3, 2, 3", "subm_conv3d: kernel_size must be odd: got 2", 0},
      {"%k1 = ", "dilation", "stride = array<i64: 1, 1, 1>, dilation", "must not carry stride or padding", 0},
      {"%k2 = ", "dilation", "padding = array<i64: 1, 1, 1>, dilation", "must not carry stride or padding", 0},
      {"%k2 = ", "3, 3, 3", "4, 3, 3", "normalized_subm_conv3d: kernel_size must be odd: got 4", 0},
      {"%k2 = ", "eps = 0.00000001", "eps = 0.0", "eps must be positive: got 0", 0},
      {"%k2 = ", "0.00000001 : f32", "0.00000001", "expected ': f32'", 0},
      {"%k2 = ", "0.00000001 : f32", "0.1 : f64", "syntax: got 'f64', expected 'f32'", 0},
      {"%k6 = ", "eps = 0.001", "eps = 0x7FC00000", "eps must be positive: got nan", 0},
      {"%k8 = ", "stride", "padding = array<i64: 0, 0, 0>, stride", "must not carry padding or dilation", 0},
      {"%k9 = ", "stride", "dilation = array<i64: 1, 1, 1>, stride", "must not carry padding or dilation", 0},
      {"%k3 = ", "%k2, %x, %w, %b", "%k2, %w, %b",
       "target_conv3d: operand types: got 4 types, expected one for each of 3", 0},
      {"%p0 = ", "pool_mode<max>", "pool_mode<median>", "mode: got 'median', expected one of: sum, max, avg", 0},
      {"%p3 = ", "stride = array<i64: 1, 1, 1>", "stride = array<i64: 0, 1, 1>", "stride must be positive", 0},
      {"%g = ", "batch_size = 2", "batch_size = -2", "batch_size must be -1 or more: got -2", 0},
      {"%g = ", "batch_size = 2", "batch_size = 2 : i32", "syntax: got 'i32', expected 'i64'", 0},
      {"%r1 = ", "binary_op<maximum>", "binary_op<div>", "op: got 'div', expected one of: add, sub", 0},
      {"%r2 = ", "join<inner>", "join<cross>", "join: got 'cross', expected one of: inner, left, right, outer", 0},
      {"%f3 = ", "%b, %c, %c", "%b", "batch_norm: SSA operands: got 3, expected 5 to 5", 0},
      {"%f3 = ", "eps = 0.00001 : f32", "eps = 0.00001 : f32, momentum = 0.1 : f32",
       "batch_norm: unknown attrs in version 2: momentum", 0},
      {"%r2 = ", "%r1, %x", "%r1, %x, %x", "sparse.cat: SSA operands: got 3, expected 2 to 2", 0},
  };
  static const broken family = {"%k0 = ", "%x, %w, %b {", "%x, %w, %c {", "operand 2: got", 0};
  CHECK_ALL(lat_test_graph("all"), cases);
  check(lat_test_graph("all"), &family);
}

static void activation_parameters(void **state) {
  (void)state;
  static const broken cases[] = {
      {"%f2 = ", "alpha = 0.01", "alpha = -0.5", "activation: alpha must be non-negative: got -0.5", 0},
      {"%f2 = ", "beta = 1.0", "beta = 0.0", "activation: beta must be positive: got 0", 0},
      {"%f2 = ", "activation<gelu>", "activation<mish>", "kind: got 'mish', expected one of: relu, sigmoid", 0},
      {"%f2 = ", "gelu_approx<tanh>", "gelu_approx<cubic>", "approximate: got 'cubic', expected one of: none", 0},
      {"%f3 = ", "eps = 0.00001", "eps = 0.0", "batch_norm: eps must be positive", 0},
      {"%f4 = ", "eps = 0.00001", "eps = 0.0", "layer_norm: eps must be positive", 0},
      {"%v1 = ", "0.5, 0.5, 1.0", "0.5, -0.5, 1.0", "voxelize: voxel_size must be positive: got -0.5", 0},
      {"%v2 = ", "0.5, 0.5, 1.0", "0.5, 0.0, 1.0", "devoxelize: voxel_size must be positive: got 0", 0},
      {"%x = ", "stride = array<i64: 1, 1, 1>", "stride = array<i64: 1, 0, 1>", "sparse.make: stride must be positive",
       0},
      {"%x = ", "coord<batch_x_y_z>", "coord<x_y_z_batch>",
       "coord_order: got 'x_y_z_batch', expected one of: batch_x_y_z", 0},
  };
  CHECK_ALL(lat_test_graph("all"), cases);
}

static void version_3(void **state) {
  (void)state;
  static const broken cases[] = {
      {"module", "lattice.ir_version = 3", "lattice.ir_version = 2", "unsupported lattice.schema_digest", 0},
      {"%k0 = ", "support = #lattice.support<reach>", "support = #lattice.support<floor>", "bounds need support", 0},
      {"%k0 = ", ", support = #lattice.support<reach>", "", "bounds need support", 0},
      {"%k0 = ", "bounds = array<i64: 9, 8, 7>", "bounds = array<i64: 9, 0, 7>", "bounds must be positive", 0},
      {"%k0 = ", "groups = 2", "groups = 0", "groups must be positive", 0},
      {"%k0 = ", "support<reach>", "support<all>", "support: got 'all', expected one of: floor, reach", 0},
      {"%k3 = ", ", groups = 2", "", "group_norm: missing required attrs: groups", 0},
      {"%k4 = ", "%k3, %x, %k2", "%k3", "sparse.cat: SSA operands: got 1, expected 2 to any number", 0},
      {"%k5 = ", "duplicates<max>", "duplicates<min>", "duplicates: got 'min', expected one of: none, error", 0},
      {"%z = ", "fold<z>", "fold<none>", "to_dense: result: got tensor<?x?x?x?xf32>, expected tensor<?x?x?x?x?xf32>",
       0},
      {"%z = ", "shape = array<i64: 0, 0, 0>", "shape = array<i64: 0, 0, -1>", "shape must be non-negative", 0},
      {"%x = ", "axes<zyx>", "axes<yxz>", "axes: got 'yxz', expected one of: xyz, zyx", 0},
      {"%n = ", "%c, %b", "%c", "batch_norm: SSA operands: got 2, expected 3 to 5", 0},
      {"%n = ",
       "%b {eps = 0.001 : f32, momentum = 0.02 : f32} : (tensor<?x4xf32>, !lattice.weight<channel, f32>, "
       "!lattice.weight<bias, f32>)",
       "%b, %c {eps = 0.001 : f32} : (tensor<?x4xf32>, !lattice.weight<channel, f32>, !lattice.weight<bias, f32>, "
       "!lattice.weight<channel, f32>)",
       "batch_norm: SSA operands: got mean without var, expected both or none", 0},
      {"%n = ", "momentum = 0.02", "momentum = -0.02", "momentum must be non-negative", 0},
      {"%g = ", "p = 0.5", "p = 1.0", "dropout: p must be below 1: got 1", 0},
  };
  CHECK_ALL(lat_test_graph("version3"), cases);
}

/// Columns count from 1 and are those of what is wrong.
static void places_are_exact(void **state) {
  (void)state;
  lat_model *model = NULL;
  lat_test_assert_error(lat_test_parse_graph(context, "", &model), LAT_STATUS_BAD_DATA,
                        "model_parse: graph:1:1: syntax: got the end of the text, expected 'module'");
  lat_test_assert_error(lat_test_parse_graph(context, "// x\n\n  module &", &model), LAT_STATUS_BAD_DATA,
                        "graph:3:10: syntax: got '&', which begins nothing");
  lat_test_assert_error(lat_test_parse_graph(context, "module attributes {a = [[[", &model), LAT_STATUS_BAD_DATA,
                        "graph:1:27: syntax: got the end of the text");
  lat_test_assert_error(lat_test_parse_graph(context, "module {}", &model), LAT_STATUS_BAD_DATA,
                        "graph:1:1: module requires the integer attribute lattice.ir_version");
}

// --- built graphs ---------------------------------------------------------------------------------------------------

static void built_graphs_obey_the_same_rules(void **state) {
  (void)state;
  lat_model *model = NULL;
  lat_array *text = NULL;
  int32_t input = 0, op = 0;
  const lat__type rows = {.kind = LAT__TYPE_TENSOR, .elem = LAT__ELEM_F32, .rank = 2, .dims = {-1, 4}};
  lat_test_assert_ok(lat__model_new(context, &model));
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA, "must return at least one value");
  lat_test_assert_ok(lat__model_add_input(context, model, "x", LAT__ROLE_TENSOR, &rows, &input));
  lat_test_assert_ok(lat__model_add_op(context, model, LAT__OP_SOFTMAX, &input, 1, &op));
  model->values[model->ops[op].results[0]].type = rows;
  lat_test_assert_ok(lat__model_add_output(context, model, "y", LAT__ROLE_TENSOR, model->ops[op].results[0]));
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA,
                        "model_text: operation 0: lattice.softmax: missing required attrs: axis");
  assert_null(text);
  lat__op_set_int(&model->ops[op], LAT__ATTR_AXIS, 3);
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA, "axis must be -1 or 1: got 3");
  lat__op_set_int(&model->ops[op], LAT__ATTR_AXIS, 1);
  lat_test_assert_ok(lat_model_text(context, model, &text));
  lat_array_release(text);
  model->ops[op].operands[0] = model->ops[op].results[0];
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA,
                        "uses undefined value: operand input");
  model->ops[op].n_operands = 0;
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA,
                        "SSA operands: got 0, expected 1 to 1");
  model->ops[op].n_operands = 1;
  model->ops[op].operands[0] = input;
  lat_test_assert_ok(lat__model_add_output(context, model, "y", LAT__ROLE_TENSOR, input));
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA, "must be unique: got 'y' twice");
  model->outputs[1].name = "";
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA, "output_names must be non-empty");
  model->outputs[1].name = "z";
  model->outputs[1].value = 99;
  lat_test_assert_error(lat_model_text(context, model, &text), LAT_STATUS_BAD_DATA,
                        "return uses undefined value: output 1");
  lat_model_release(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_module_header, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_function, set_up, tear_down),
      cmocka_unit_test_setup_teardown(syntax, set_up, tear_down),
      cmocka_unit_test_setup_teardown(weights, set_up, tear_down),
      cmocka_unit_test_setup_teardown(convolutions, set_up, tear_down),
      cmocka_unit_test_setup_teardown(activation_parameters, set_up, tear_down),
      cmocka_unit_test_setup_teardown(version_3, set_up, tear_down),
      cmocka_unit_test_setup_teardown(places_are_exact, set_up, tear_down),
      cmocka_unit_test_setup_teardown(built_graphs_obey_the_same_rules, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
