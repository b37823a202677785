// The graph in memory: the table of operations is complete and consistent, graphs are built and found again, names are
// found by hashing, memory goes with the last reference.
//
// covers: lat_model_retain lat_model_release
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  context = lat_test_context_create(&counter, 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static int n_words(const lat__enum_desc *words) {
  int n = 0;
  while (words->words[n]) n++;
  return n;
}

static void table_is_consistent(void **state) {
  (void)state;
  for (int kind = 0; kind < LAT__N_OPS; kind++) {
    const lat__op_desc *desc = &lat__op_table[kind];
    assert_non_null(desc->name);
    assert_in_range(desc->version, 2, 3);
    assert_int_equal(desc->version, kind <= LAT__OP_SPARSE_CAT ? 2 : 3);
    assert_in_range(desc->n_results, 1, LAT__MAX_RESULTS);
    for (int other = 0; other < kind; other++) assert_string_not_equal(desc->name, lat__op_table[other].name);
    int optional = 0;
    for (int i = 0; i < desc->n_operands; i++) {
      assert_non_null(desc->operands[i].name);
      assert_true(desc->operands[i].optional >= optional); // only the last ones may be left out
      optional = desc->operands[i].optional;
    }
    for (int i = desc->n_operands; i < LAT__MAX_OPERANDS; i++) assert_null(desc->operands[i].name);
    for (int i = 0; i < desc->n_attrs; i++) {
      assert_in_range(desc->attrs[i].key, 0, LAT__N_ATTRS - 1);
      assert_in_range(desc->attrs[i].version, desc->version, 3);
      // What version 2 requires comes first; version 3 may add to it only what can be left out.
      if (desc->version == 2 && desc->attrs[i].version == 3) assert_true(desc->attrs[i].optional);
      for (int j = 0; j < i; j++) {
        assert_string_not_equal(lat__attr_table[desc->attrs[i].key].name, lat__attr_table[desc->attrs[j].key].name);
      }
    }
    for (int i = desc->n_attrs; i < LAT__MAX_OP_ATTRS; i++) assert_int_equal(desc->attrs[i].version % 2, 0);
  }
  for (int key = 0; key < LAT__N_ATTRS; key++) {
    const lat__attr_desc *attr = &lat__attr_table[key];
    assert_non_null(attr->name);
    int has_words = attr->kind == LAT__ATTR_KIND_ENUM || attr->kind == LAT__ATTR_KIND_WORD;
    assert_int_equal(has_words, attr->words != NULL);
    if (has_words) assert_in_range(attr->words->n_version2, 0, n_words(attr->words));
    if (has_words) assert_int_equal(attr->kind == LAT__ATTR_KIND_ENUM, attr->words->mnemonic != NULL);
  }
}

/// Choices are handed to public functions as they are.
static void words_match_the_public_enums(void **state) {
  (void)state;
#define WORD(key, choice) lat__attr_table[key].words->words[choice]
  assert_string_equal(WORD(LAT__ATTR_POOL_MODE, LAT_POOL_SUM), "sum");
  assert_string_equal(WORD(LAT__ATTR_POOL_MODE, LAT_POOL_MAX), "max");
  assert_string_equal(WORD(LAT__ATTR_POOL_MODE, LAT_POOL_AVG), "avg");
  assert_string_equal(WORD(LAT__ATTR_VOXEL_REDUCTION, LAT_VOXEL_MEAN), "mean");
  assert_string_equal(WORD(LAT__ATTR_VOXEL_REDUCTION, LAT_VOXEL_SUM), "sum");
  assert_string_equal(WORD(LAT__ATTR_VOXEL_REDUCTION, LAT_VOXEL_MAX), "max");
  assert_string_equal(WORD(LAT__ATTR_INTERPOLATION, LAT_INTERPOLATION_LINEAR), "linear");
  assert_string_equal(WORD(LAT__ATTR_INTERPOLATION, LAT_INTERPOLATION_NEAREST), "nearest");
  assert_string_equal(WORD(LAT__ATTR_APPROXIMATE, LAT_GELU_NONE), "none");
  assert_string_equal(WORD(LAT__ATTR_APPROXIMATE, LAT_GELU_TANH), "tanh");
  assert_string_equal(WORD(LAT__ATTR_APPROXIMATE, LAT_GELU_FAST), "fast");
  assert_string_equal(WORD(LAT__ATTR_BINARY_OP, LAT_BINARY_ADD), "add");
  assert_string_equal(WORD(LAT__ATTR_BINARY_OP, LAT_BINARY_MINIMUM), "minimum");
  assert_string_equal(WORD(LAT__ATTR_JOIN, LAT_JOIN_INNER - 1), "inner");
  assert_string_equal(WORD(LAT__ATTR_JOIN, LAT_JOIN_OUTER - 1), "outer");
  assert_string_equal(WORD(LAT__ATTR_DENSE_LAYOUT, LAT_DENSE_CHANNELS_FIRST), "channels_first");
  assert_string_equal(WORD(LAT__ATTR_FOLD, LAT_DENSE_FOLD_Z), "z");
  assert_string_equal(WORD(LAT__ATTR_OUTSIDE, LAT_DENSE_OUTSIDE_DROP), "drop");
  assert_string_equal(WORD(LAT__ATTR_LAYOUT, LAT__FAMILY_BIAS), "bias_c");
#undef WORD
}

static void builds_a_graph(void **state) {
  (void)state;
  lat_model *model = NULL;
  int32_t rows = 0, feats = 0, active = 0, make = 0, conv = 0, parameter = 0, again = 0, weight = 0;
  const lat__type tensor = {.kind = LAT__TYPE_TENSOR, .elem = LAT__ELEM_F32, .rank = 2, .dims = {-1, 4}};
  const lat__packing dense = {0, 0, LAT__ELEM_F32};
  const float value = 3.0F;
  lat_array *array = NULL;
  lat_array_view view = lat_view_1d(&value, LAT_DTYPE_F32, 1);
  lat_test_assert_ok(lat__model_new(context, &model));
  lat_test_assert_ok(lat__model_add_input(context, model, "c", LAT__ROLE_SPARSE_COORDS, &tensor, &rows));
  lat_test_assert_ok(lat__model_add_input(context, model, "f", LAT__ROLE_SPARSE_FEATURES, &tensor, &feats));
  lat_test_assert_ok(lat__model_add_input(context, model, "a", LAT__ROLE_SPARSE_ACTIVE, &tensor, &active));
  lat_test_assert_ok(
      lat__model_add_op(context, model, LAT__OP_SPARSE_MAKE, (int32_t[]){rows, feats, active}, 3, &make));
  lat_test_assert_ok(lat__model_add_parameter(context, model, "stem.0.weight", LAT__FAMILY_CONV3D, &dense, &parameter));
  lat_test_assert_ok(lat__model_add_parameter(context, model, "stem.0.weight", LAT__FAMILY_BIAS, &dense, &again));
  assert_int_equal(again, parameter);
  lat_test_assert_ok(lat__model_add_weight(context, model, parameter, LAT__ELEM_F16, &weight));
  lat_test_assert_ok(lat__model_add_op(context, model, LAT__OP_SUBM_CONV3D,
                                       (int32_t[]){model->ops[make].results[0], weight}, 2, &conv));
  lat__op_set_triple(&model->ops[conv], LAT__ATTR_KERNEL_SIZE, lat_triple_all(5));
  lat__op_set_choice(&model->ops[conv], LAT__ATTR_ACCUMULATION, 0);
  lat_test_assert_ok(lat__model_add_output(context, model, "y", LAT__ROLE_SPARSE_TENSOR, model->ops[conv].results[0]));
  assert_int_equal(lat_model_input(model, 0).stride.y, 1); // not said yet
  lat__op_set_triple(&model->ops[make], LAT__ATTR_STRIDE, (lat_triple){2, 3, 4});
  for (int i = 0; i < 3; i++) assert_int_equal(lat_model_input(model, i).stride.y, 3);
  assert_int_equal(lat_model_output(model, 0).stride.y, 1);
  assert_int_equal(model->n_ops, 3);
  assert_int_equal(model->n_values, 6);
  assert_int_equal(model->values[5].op, conv);
  assert_int_equal(model->values[5].type.kind, LAT__TYPE_SPARSE);
  assert_int_equal(model->values[5].type.channels, -1);
  assert_int_equal(model->values[weight].type.elem, LAT__ELEM_F16);
  assert_string_equal(model->ops[1].symbol, "stem_0_weight");
  assert_int_equal(lat__op_triple(&model->ops[conv], LAT__ATTR_KERNEL_SIZE, lat_triple_all(0)).y, 5);
  assert_int_equal(lat__op_triple(&model->ops[conv], LAT__ATTR_DILATION, lat_triple_all(1)).z, 1);
  assert_int_equal(lat__op_choice(&model->ops[conv], LAT__ATTR_ACCUMULATION, 9), 0);
  assert_null(lat__op_attr_of(&model->ops[conv], LAT__ATTR_PADDING));
  assert_string_equal(model->outputs[0].name, "y");
  lat_test_assert_ok(lat_array_create(context, &view, &array));
  lat__parameter_set(&model->parameters[parameter].dense, array);
  lat__parameter_set(&model->parameters[parameter].dense, array);
  lat_array_release(array);
  assert_ptr_equal(lat_model_retain(model), model);
  lat_model_release(model);
  assert_int_equal(lat_array_count(model->parameters[parameter].dense), 1);
  lat_model_release(model);
  lat_model_release(NULL);
  assert_null(lat_model_retain(NULL));
}

static void finds_many_names(void **state) {
  (void)state;
  lat_model *model = NULL;
  const lat__packing dense = {0, 0, LAT__ELEM_F32};
  char key[32];
  lat_test_assert_ok(lat__model_new(context, &model));
  for (int32_t i = 0; i < 500; i++) {
    int32_t index = -1;
    snprintf(key, sizeof key, "layer.%d", (int)i);
    assert_int_equal(lat__model_find_parameter(model, key), -1);
    lat_test_assert_ok(lat__model_add_parameter(context, model, key, LAT__FAMILY_BIAS, &dense, &index));
    assert_int_equal(index, i);
  }
  for (int32_t i = 0; i < 500; i++) {
    snprintf(key, sizeof key, "layer.%d", (int)i);
    assert_int_equal(lat__model_find_parameter(model, key), i);
  }
  assert_int_equal(lat__model_find_parameter(model, "layer"), -1);
  assert_int_equal(lat__names_find(&model->parameter_names, "layer.1\0x", 9), -1);
  assert_int_equal(lat__names_find(&model->parameter_names, "layer.12", 7), 1);
  lat_model_release(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_is_consistent),
      cmocka_unit_test(words_match_the_public_enums),
      cmocka_unit_test_setup_teardown(builds_a_graph, set_up, tear_down),
      cmocka_unit_test_setup_teardown(finds_many_names, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
