// Whatever graph an artifact holds, it comes back as it was: random models over every operation are written in the lowest
// version that says them, read, and give the same text and, run, the same bits.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "support/io_cases.h"
#include "support/random_model.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { N_MODELS = 70, N_OPS = 14 };

static lat_test_allocator counter;
static lat_context *context;
static bool seen[LAT__N_OPS];
static uint64_t current; ///< seed of the model under test

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_test_folder_make();
  memset(seen, 0, sizeof seen);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  char part[1300];
  const char *folder = lat_test_folder_path("net");
  print_message("last model: %llu\n", (unsigned long long)current);
  snprintf(part, sizeof part, "%s/graph.mlir", folder);
  remove(part);
  snprintf(part, sizeof part, "%s/weights.safetensors", folder);
  remove(part);
  remove(folder);
  lat_test_folder_remove();
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_results *run(const lat_model *model, const random_inputs *inputs) {
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, inputs->bindings, inputs->n, NULL, &results));
  lat_program_release(program);
  return results;
}

static void assert_same_results(const lat_results *a, const lat_results *b) {
  assert_int_equal(lat_results_count(a), lat_results_count(b));
  for (int64_t i = 0; i < lat_results_count(a); i++) {
    const char *name = lat_results_name(a, i);
    const lat_tensor *x = lat_results_tensor(a, name), *y = lat_results_tensor(b, name);
    assert_int_equal(x != NULL, y != NULL);
    if (!x) {
      lat_test_assert_same_view(lat_array_as_view(lat_results_array(a, name)),
                                lat_array_as_view(lat_results_array(b, name)));
      continue;
    }
    lat_triple p = lat_tensor_stride(x), q = lat_tensor_stride(y);
    assert_memory_equal(&p, &q, sizeof p);
    lat_test_assert_same_view(lat_coords_rows(lat_tensor_coords(x)), lat_coords_rows(lat_tensor_coords(y)));
    lat_test_assert_same_view(lat_tensor_feats(x), lat_tensor_feats(y));
  }
}

static void assert_same_text(const lat_model *a, const lat_model *b) {
  lat_array *texts[2] = {NULL, NULL};
  lat_test_assert_ok(lat_model_text(context, a, &texts[0]));
  lat_test_assert_ok(lat_model_text(context, b, &texts[1]));
  lat_test_assert_same_view(lat_array_as_view(texts[0]), lat_array_as_view(texts[1]));
  lat_array_release(texts[0]);
  lat_array_release(texts[1]);
}

/// The state is the same: names, kinds, numbers.
static void assert_same_state(const lat_model *a, const lat_model *b) {
  assert_int_equal(lat_model_state_count(a), lat_model_state_count(b));
  assert_int_equal(lat_model_count_elements(a), lat_model_count_elements(b));
  for (int64_t i = 0; i < lat_model_state_count(a); i++) {
    lat_state_entry x = lat_model_state_entry(a, i), y = lat_model_state_entry(b, i);
    assert_string_equal(x.name, y.name);
    assert_int_equal(x.kind, y.kind);
    lat_test_assert_same_view(lat_array_as_view(x.values), lat_array_as_view(y.values));
  }
}

static void check_round_trip(const lat_model *model, const lat_results *expected, const random_inputs *inputs,
                             int version) {
  lat_model *read = NULL;
  const char *folder = lat_test_folder_path("net");
  assert_int_equal(lat_model_version(model), version);
  lat_test_assert_ok(lat_model_save(context, model, folder));
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &read));
  assert_int_equal(lat_model_version(read), version);
  assert_same_text(model, read);
  assert_same_state(model, read);
  lat_results *results = run(read, inputs);
  assert_same_results(expected, results);
  lat_results_release(results);
  lat_model_release(read);
}

/// Without what only training needs: the numbers stay, and a graph of version 2 remains where nothing else needs 3.
static void check_inference(const lat_model *model, const lat_results *expected, const random_inputs *inputs,
                            int version) {
  lat_model *lowered = NULL;
  lat_test_assert_ok(lat_model_convert(context, model, LAT_OPTS(lat_convert_opts, .inference = 1), &lowered));
  for (int64_t i = 0; i < lowered->n_ops; i++) assert_true(lowered->ops[i].kind != LAT__OP_DROPOUT);
  check_round_trip(lowered, expected, inputs, version);
  lat_model_release(lowered);
}

static void check_models(const random_rules *rules, uint64_t seed) {
  for (uint64_t number = 0; number < N_MODELS; number++) {
    lat_test_random random = {seed + number, 0};
    int version = 0, needs_training = 0;
    current = seed + number;
    lat_model *model = random_model(context, &random, rules, N_OPS, &version, &needs_training);
    random_inputs *inputs = random_inputs_new(context, &random);
    lat_results *expected = run(model, inputs);
    check_round_trip(model, expected, inputs, version);
    if (needs_training) check_inference(model, expected, inputs, rules->version3 ? lat_model_version(model) : 2);
    for (int64_t i = 0; i < model->n_ops; i++) seen[model->ops[i].kind] = true;
    lat_results_release(expected);
    random_inputs_free(inputs);
    lat_model_release(model);
  }
}

/// All operations came up, those of version 3 only where they may.
static void assert_all_seen(bool version3, bool training) {
  for (int kind = 0; kind < LAT__N_OPS; kind++) {
    bool expected = lat__op_table[kind].version == 2 || (kind == LAT__OP_DROPOUT ? training : version3);
    if (seen[kind] != expected) fail_msg("%s: %s", lat__op_table[kind].name, seen[kind] ? "drawn" : "never drawn");
  }
}

static void test_version_2(void **state) {
  (void)state;
  check_models(&(random_rules){0, 0}, 1000);
  assert_all_seen(false, false);
}

static void test_version_3(void **state) {
  (void)state;
  check_models(&(random_rules){1, 0}, 2000);
  assert_all_seen(true, false);
}

static void test_training(void **state) {
  (void)state;
  check_models(&(random_rules){0, 1}, 3000);
  assert_all_seen(false, true);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_version_2), TEST(test_version_3), TEST(test_training)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
