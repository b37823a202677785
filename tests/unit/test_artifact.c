// Artifacts: graphs with everything that the grammar allows are read, what is written reads back as the same graph in the
// lowest version, directories are loaded and saved, a model says what it holds.
//
// covers: lat_model_load lat_model_parse lat_model_save lat_model_text lat_model_version lat_model_n_operations
// covers: lat_model_operation_name lat_model_describe_operation lat_model_n_parameters lat_model_get_parameter
// covers: lat_model_find_parameter lat_model_n_inputs lat_model_n_outputs lat_model_input lat_model_output
//
// null arguments: lat_model_load lat_model_parse lat_model_save lat_model_text
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static lat_model *parse(const char *text) {
  lat_model *model = NULL;
  lat_test_assert_ok(lat_test_parse_graph(context, text, &model));
  return model;
}

/// The text of a model as a string that the caller frees.
static char *print(const lat_model *model) {
  lat_array *bytes = NULL;
  lat_test_assert_ok(lat_model_text(context, model, &bytes));
  size_t n = (size_t)lat_array_count(bytes);
  char *text = malloc(n + 1);
  assert_non_null(text);
  memcpy(text, lat_array_data(bytes), n);
  text[n] = '\0';
  lat_array_release(bytes);
  return text;
}

static void assert_same_attr(const lat__attr_desc *desc, const lat__attr *a, const lat__attr *b) {
  assert_int_equal(a->present, b->present);
  if (!a->present) return;
  assert_int_equal(a->choice, b->choice);
  if (desc->kind == LAT__ATTR_KIND_TEXT) {
    assert_string_equal(a->u.text, b->u.text);
  } else if (desc->kind == LAT__ATTR_KIND_PACKING) {
    assert_int_equal(a->u.packing.bits, b->u.packing.bits);
    assert_int_equal(a->u.packing.group_size, b->u.packing.group_size);
    assert_int_equal(a->u.packing.scale_elem, b->u.packing.scale_elem);
  } else if (!desc->words) {
    assert_memory_equal(&a->u, &b->u, sizeof a->u.i64);
  }
}

static void assert_same(const lat_model *a, const lat_model *b) {
  assert_int_equal(a->n_ops, b->n_ops);
  assert_int_equal(a->n_values, b->n_values);
  assert_int_equal(a->n_parameters, b->n_parameters);
  assert_int_equal(a->n_inputs, b->n_inputs);
  assert_int_equal(a->n_outputs, b->n_outputs);
  for (int64_t i = 0; i < a->n_ops; i++) {
    const lat__op *x = &a->ops[i], *y = &b->ops[i];
    assert_int_equal(x->kind, y->kind);
    assert_int_equal(x->n_operands, y->n_operands);
    assert_int_equal(x->parameter, y->parameter);
    assert_memory_equal(x->operands, y->operands, (size_t)x->n_operands * sizeof *x->operands);
    assert_memory_equal(x->results, y->results, (size_t)x->n_results * sizeof *x->results);
    for (int32_t k = 0; k < lat__op_table[x->kind].n_attrs; k++) {
      assert_same_attr(&lat__attr_table[lat__op_table[x->kind].attrs[k].key], &x->attrs[k], &y->attrs[k]);
    }
  }
  for (int64_t i = 0; i < a->n_values; i++) {
    const lat__type *x = &a->values[i].type, *y = &b->values[i].type;
    assert_int_equal(x->kind, y->kind);
    assert_int_equal(x->elem, y->elem);
    assert_int_equal(x->rank, y->rank);
    assert_int_equal(x->family, y->family);
    for (int32_t axis = 0; axis < x->rank; axis++) assert_int_equal(x->dims[axis], y->dims[axis]);
  }
  for (int64_t i = 0; i < a->n_outputs; i++) {
    assert_int_equal(a->outputs[i].value, b->outputs[i].value);
    assert_int_equal(a->outputs[i].role, b->outputs[i].role);
    assert_string_equal(a->outputs[i].name, b->outputs[i].name);
  }
}

static void what_is_written_reads_back(void **state) {
  (void)state;
  const char *const texts[] = {lat_test_graph("points"), lat_test_graph("int4"), lat_test_graph("all"),
                               lat_test_graph("version3")};
  for (int i = 0; i < 4; i++) {
    lat_model *first = parse(texts[i]);
    char *written = print(first);
    lat_model *second = parse(written);
    char *again = print(second);
    assert_same(first, second);
    assert_string_equal(written, again);
    assert_int_equal(lat_model_version(second), i == 3 ? 3 : 2);
    assert_non_null(strstr(written, i == 3 ? "lattice.ir_version = 3" : "lattice.ir_version = 2"));
    lat_model_release(first);
    lat_model_release(second);
    free(written);
    free(again);
  }
}

/// Every addition by itself makes a graph one of version 3.
static void the_lowest_version_is_taken(void **state) {
  (void)state;
  lat_model *model = parse(lat_test_graph("version3"));
  int n_ops = (int)model->n_ops, n_additions = 0;
  int64_t outputs = model->n_outputs;
  for (int i = 0; i < n_ops; i++) {
    // One operation alone; nothing else is asked.
    lat_model one = *model;
    one.ops = &model->ops[i];
    one.n_ops = 1;
    n_additions += lat_model_version(&one) == 3;
  }
  assert_int_equal(outputs, 3);
  assert_int_equal(n_additions, 11); // all but three weights
  lat_model_release(model);
}

static void liberties_of_the_text(void **state) {
  (void)state;
  lat_model *model = parse(lat_test_graph("int4"));
  assert_int_equal(lat_model_n_operations(model), 8);
  assert_string_equal(lat_model_operation_name(model, 3), "subm_conv3d");
  const lat__op *activation = &model->ops[5];
  assert_int_equal(activation->kind, LAT__OP_ACTIVATION);
  assert_int_equal(activation->operands[0], model->ops[4].results[1]);
  assert_true(isinf(lat__op_float(activation, LAT__ATTR_THRESHOLD, 0.0)));
  assert_true(lat__op_float(activation, LAT__ATTR_ALPHA, 0.0) == (double)0.01F);
  assert_int_equal(lat__op_int(&model->ops[7], LAT__ATTR_BATCH_SIZE, 0), -1);
  assert_string_equal(model->parameters[1].key, "stem.bias"); // written with an escape
  assert_string_equal(model->ops[1].symbol, "stem q");
  char *written = print(model);
  assert_non_null(strstr(written, "lattice.weight @\"stem q\""));
  assert_non_null(strstr(written, "threshold = 0x7F800000 : f32"));
  free(written);
  lat_model_release(model);
}

static void numbers_do_not_depend_on_the_locale(void **state) {
  (void)state;
  // Whichever of these is installed; without any of them the test shows nothing.
  const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ru_RU.UTF-8"};
  for (int i = 0; i < 4 && !setlocale(LC_NUMERIC, names[i]); i++) continue;
  lat_model *model = parse(lat_test_graph("all"));
  char *written = print(model);
  assert_non_null(strstr(written, "fill = -1.5 : f32"));
  assert_non_null(strstr(written, "eps = 0.00001 : f32"));
  assert_non_null(strstr(written, "eps = 0.00000001 : f32"));
  assert_non_null(strstr(written, "eps = 1.0e-20 : f32"));
  assert_non_null(strstr(written, "threshold = 20.0 : f32"));
  assert_non_null(strstr(written, "array<f64: 0.0, -1.5, 0.0>"));
  free(written);
  lat_model_release(model);
  setlocale(LC_NUMERIC, "C");
}

static void a_model_says_what_it_holds(void **state) {
  (void)state;
  lat_model *model = parse(lat_test_graph("all"));
  char line[400], cut[9];
  assert_int_equal(lat_model_n_inputs(model), 6);
  assert_int_equal(lat_model_n_outputs(model), 3);
  lat_model_port input = lat_model_input(model, 1), output = lat_model_output(model, 0);
  assert_string_equal(input.name, "feats");
  assert_string_equal(input.role, "sparse_features");
  assert_string_equal(input.elem, "f32");
  assert_int_equal(input.is_sparse, 0);
  assert_int_equal(input.rank, 2);
  assert_int_equal(input.shape[0], -1);
  assert_int_equal(input.shape[1], 4);
  assert_string_equal(output.name, "a");
  assert_string_equal(output.role, "sparse_tensor");
  assert_int_equal(output.is_sparse, 1);
  assert_int_equal(output.rank, 0);
  assert_int_equal(lat_model_n_parameters(model), 6);
  assert_int_equal(lat_model_find_parameter(model, "head.weight"), 3);
  assert_int_equal(lat_model_find_parameter(model, "head"), -1);
  lat_model_parameter parameter = lat_model_get_parameter(model, 5);
  assert_string_equal(parameter.name, "q");
  assert_string_equal(parameter.family, "linear");
  assert_int_equal(parameter.bits, 8);
  assert_int_equal(parameter.group_size, 32);
  assert_null(parameter.words);
  assert_int_equal(lat_model_get_parameter(model, 2).is_statistic, 1);
  assert_int_equal(lat_model_get_parameter(model, 1).is_statistic, 0);
  lat_model_describe_operation(model, 0, line, sizeof line);
  assert_string_equal(line, "%x = sparse.make %rows, %feats, %active {stride = array<i64: 1, 1, 1>, coord_order = "
                            "#lattice.coord<batch_x_y_z>}");
  lat_model_describe_operation(model, 0, cut, sizeof cut);
  assert_string_equal(cut, "%x = spa");
  lat_model_describe_operation(model, 0, cut, 1);
  assert_string_equal(cut, "");
  lat_model_describe_operation(model, 0, NULL, 0);
  lat_model_release(model);
}

static void artifacts_are_saved_and_loaded(void **state) {
  (void)state;
  lat_model *model = parse(lat_test_graph("all")), *loaded = NULL;
  lat_model_load_opts opts = LAT_MODEL_LOAD_OPTS_INIT;
  lat_test_folder_make();
  const char *folder = lat_test_folder_path("net");
  char weights[1200], graph[1200];
  snprintf(weights, sizeof weights, "%s/weights.safetensors", folder);
  snprintf(graph, sizeof graph, "%s/graph.mlir", folder);
  lat_test_assert_error(lat_model_save(context, model, folder), LAT_STATUS_BAD_DATA, "'conv.weight': has no value");
  lat_test_assert_ok(lat_test_fill_parameters(context, model, lat_triple_all(3), 4));
  lat_test_assert_ok(lat_model_save(context, model, folder));
  lat_test_assert_ok(lat_model_save(context, model, folder)); // over itself
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &loaded));
  assert_same(model, loaded);
  lat_array_view dense = lat_array_as_view(lat_model_get_parameter(loaded, 0).dense);
  assert_int_equal(dense.rank, 5);
  assert_true(((const float *)dense.data)[0] == 0.5F);
  assert_non_null(lat_model_get_parameter(loaded, 5).scales);
  assert_null(lat_model_get_parameter(loaded, 5).dense);
  // A model that came from the files may be written over them.
  lat_test_assert_ok(lat_model_save(context, loaded, folder));
  lat_model_release(loaded);
  unlink(weights);
  lat_test_assert_error(lat_model_load(context, folder, NULL, &loaded), LAT_STATUS_IO_ERROR,
                        "lattice artifact is missing weights.safetensors.");
  assert_null(loaded);
  opts.graph_only = 1;
  lat_test_assert_ok(lat_model_load(context, folder, &opts, &loaded));
  assert_null(lat_model_get_parameter(loaded, 0).dense);
  lat_model_release(loaded);
  unlink(graph);
  lat_test_assert_error(lat_model_load(context, folder, &opts, &loaded), LAT_STATUS_IO_ERROR,
                        "lattice artifact is missing graph.mlir.");
  rmdir(folder);
  lat_test_assert_error(lat_model_load(context, folder, &opts, &loaded), LAT_STATUS_IO_ERROR,
                        "directory does not exist");
  lat_test_assert_error(lat_model_save(context, model, lat_test_folder_path("no/net")), LAT_STATUS_IO_ERROR,
                        "cannot make the directory");
  lat_model_release(model);
  lat_test_folder_remove();
}

static void arguments_are_checked(void **state) {
  (void)state;
  lat_model *model = (lat_model *)&counter, *good = parse(lat_test_graph("points"));
  lat_array *text = (lat_array *)&counter;
  lat_model_load_opts opts = {3, 0};
  lat_test_assert_error(lat_model_load(NULL, "x", NULL, &model), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  assert_null(model);
  lat_test_assert_error(lat_model_load(context, NULL, NULL, &model), LAT_STATUS_INVALID_ARGUMENT, "path: got NULL");
  lat_test_assert_error(lat_model_load(context, "x", NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_test_assert_error(lat_model_load(context, "x", &opts, &model), LAT_STATUS_INVALID_ARGUMENT, "opts.struct_bytes");
  struct {
    lat_model_load_opts opts;
    int64_t unknown;
  } larger = {{sizeof larger, 0}, 1};
  lat_test_assert_error(lat_model_load(context, "x", &larger.opts, &model), LAT_STATUS_UNSUPPORTED, "does not know");
  lat_test_assert_error(lat_model_parse(NULL, "x", 1, &model), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_model_parse(context, NULL, 1, &model), LAT_STATUS_INVALID_ARGUMENT, "text: got NULL");
  lat_test_assert_error(lat_model_parse(context, "x", 1, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_test_assert_error(lat_model_parse(context, "x", -1, &model), LAT_STATUS_INVALID_ARGUMENT, "n_bytes: got -1");
  lat_test_assert_error(lat_model_text(NULL, good, &text), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  assert_null(text);
  lat_test_assert_error(lat_model_text(context, NULL, &text), LAT_STATUS_INVALID_ARGUMENT, "model: got NULL");
  lat_test_assert_error(lat_model_text(context, good, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_test_assert_error(lat_model_save(NULL, good, "x"), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_model_save(context, NULL, "x"), LAT_STATUS_INVALID_ARGUMENT, "model: got NULL");
  lat_test_assert_error(lat_model_save(context, good, NULL), LAT_STATUS_INVALID_ARGUMENT, "path: got NULL");
  lat_model_release(good);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_written_reads_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_lowest_version_is_taken, set_up, tear_down),
      cmocka_unit_test_setup_teardown(liberties_of_the_text, set_up, tear_down),
      cmocka_unit_test_setup_teardown(numbers_do_not_depend_on_the_locale, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_model_says_what_it_holds, set_up, tear_down),
      cmocka_unit_test_setup_teardown(artifacts_are_saved_and_loaded, set_up, tear_down),
      cmocka_unit_test_setup_teardown(arguments_are_checked, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
