// Random problem strings against the naive references.
//
// Every operator over kernels, strides, paddings, dilations, support rules, types, weights, empty, single and many rows, negative
// coordinates, several batch items, threads and levels. A failing problem is made smaller while it still fails, and its
// string is printed: `LATTICE_PROBLEM='conv3d:…' prop_problems` runs that one (or a list) instead. LATTICE_PROBLEM_SEED and
// LATTICE_PROBLEM_COUNT change which problems are drawn and how many of each operator.
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem_check.h"

enum { DEFAULT_SEED = 1, DEFAULT_COUNT = 40 };

static uint64_t number_from_environment(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

// --- drawing --------------------------------------------------------------------------------------------------------

/// A stream of random numbers.
typedef struct dice {
  uint64_t seed, stream, counter;
} dice;

static uint32_t roll(dice *d, uint32_t sides) {
  uint32_t word[4];
  lat_random_block(d->seed, d->stream, d->counter++, word);
  return word[0] % sides;
}

#define PICK(dice, ...)                                                                                                \
  pick(dice, (const char *const[]){__VA_ARGS__}, sizeof(const char *const[]){__VA_ARGS__} / sizeof(const char *))

static const char *pick(dice *d, const char *const *choices, size_t n) {
  return choices[roll(d, (uint32_t)n)];
}

/// Appends `key=value` when the operator takes the key with that value beside what is there already.
static void add(char *text, const char *key, const char *value) {
  char longer[PROBLEM_TEXT_BYTES + 64];
  problem ignored;
  size_t n = strlen(text);
  snprintf(longer, sizeof longer, "%s%s%s=%s", text, text[n - 1] == ':' ? "" : ",", key, value);
  if (!problem_parse(longer, &ignored)) memcpy(text, longer, strlen(longer) + 1);
}

static void draw_geometry(dice *d, problem_op op, char *text) {
  bool subm = op == PROBLEM_SUBM_CONV3D || strstr(text, "mode=subm") != NULL;
  const char *kernel =
      subm ? PICK(d, "1", "3", "3", "3x1x5", "1x3x3") : PICK(d, "1", "2", "3", "3", "2x3x1", "1x4x2", "5x1x3");
  add(text, "k", kernel);
  add(text, "d", PICK(d, "1", "1", "2", "1x2x3"));
  if (subm) return;
  add(text, "s", PICK(d, "1", "2", "2", "3", "1x2x1"));
  add(text, "p", PICK(d, "0", "0", "1", "0x1x2"));
  add(text, "support", PICK(d, "floor", "floor", "reach"));
}

static problem draw(uint64_t seed, problem_op op, uint64_t index) {
  dice d = {seed, (uint64_t)op, index << 16};
  char text[PROBLEM_TEXT_BYTES], number[32];
  problem item;
  snprintf(text, sizeof text, "%s:", problem_op_name(op));
  for (int i = 0; i < 10; i++) { // the first that the operator has stays
    add(text, "mode",
        PICK(&d, "own", "generative", "inverse", "sum", "max", "avg", "forward", "target", "subm", "none", "tanh",
             "fast", "inner", "left", "right", "outer", "mean", "linear", "nearest"));
  }
  draw_geometry(&d, op, text);
  add(text, "cin", PICK(&d, "1", "2", "3", "8", "16", "17", "32", "33"));
  add(text, "cout", PICK(&d, "1", "2", "5", "8", "16", "19", "32", "35"));
  add(text, "groups", PICK(&d, "1", "1", "2", "8", "16", "17"));
  add(text, "order", PICK(&d, "scene", "lex"));
  add(text, "type", PICK(&d, "f32", "f32", "f16", "bf16"));
  add(text, "weights", PICK(&d, "f32", "f16", "bf16", "int8", "int4"));
  add(text, "radius", PICK(&d, "0", "1", "1.5", "2", "3.7"));
  add(text, "neighbors", PICK(&d, "0", "0", "1", "5"));
  add(text, "n", PICK(&d, "0", "1", "2", "7", "40", "130", "300", "600"));
  add(text, "density", PICK(&d, "1", "0.5", "0.1", "0.01"));
  add(text, "batch", PICK(&d, "1", "1", "2", "3"));
  add(text, "voxel", PICK(&d, "0.05", "1", "0.3"));
  add(text, "threads", PICK(&d, "1", "2", "3"));
  add(text, "level", PICK(&d, "auto", "auto", "scalar"));
  snprintf(number, sizeof number, "%u", roll(&d, 1u << 30));
  add(text, "seed", number);
  lat_test_assert_ok(problem_parse(text, &item));
  return item;
}

// --- failing --------------------------------------------------------------------------------------------------------

/// Keeps `smaller` when it fails, too.
static bool still_fails(problem *item, problem smaller, char *reason) {
  char other[CHECK_TEXT_BYTES];
  if (problem_equal(item, &smaller) || check_problem(&smaller, other)) return false;
  *item = smaller;
  memcpy(reason, other, sizeof other);
  return true;
}

static int64_t half(int64_t value) {
  return value > 1 ? value / 2 : value;
}

/// Halves n, channels and batch and simplifies types as long as the problem fails.
static void shrink(problem *item, char *reason) {
  for (bool changed = true; changed;) {
    problem smaller = *item;
    smaller.n = half(item->n);
    changed = still_fails(item, smaller, reason);
    smaller = *item;
    smaller.groups = 1;
    changed |= still_fails(item, smaller, reason);
    smaller = *item;
    smaller.c_in = item->groups > 1 ? item->c_in : half(item->c_in);
    changed |= still_fails(item, smaller, reason);
    smaller = *item;
    smaller.c_out = item->groups > 1 ? item->c_out : half(item->c_out);
    changed |= still_fails(item, smaller, reason);
    smaller = *item;
    smaller.batch = 1;
    smaller.threads = 1;
    changed |= still_fails(item, smaller, reason);
    smaller = *item;
    if (item->op != PROBLEM_POOL3D) smaller.dilation = lat_triple_all(1);
    smaller.padding = lat_triple_all(0);
    smaller.support = LAT_SUPPORT_FLOOR;
    changed |= still_fails(item, smaller, reason);
  }
}

static void run(problem item, const char *origin) {
  char reason[CHECK_TEXT_BYTES], text[PROBLEM_TEXT_BYTES], small[PROBLEM_TEXT_BYTES];
  if (check_problem(&item, reason)) return;
  problem_print(&item, text);
  print_error("%s: '%s' fails: %s\n", origin, text, reason);
  shrink(&item, reason);
  fail_msg("%s: smallest: LATTICE_PROBLEM='%s': %s", origin, problem_print(&item, small), reason);
}

static void run_given(const char *text) {
  problem_list list = {0};
  lat_test_assert_ok(problem_expand(text, &list));
  for (int64_t i = 0; i < list.n; i++) run(list.items[i], "LATTICE_PROBLEM");
  problem_list_release(&list);
}

static void test_problems(void **state) {
  (void)state;
  const char *given = getenv("LATTICE_PROBLEM");
  if (given && *given) {
    run_given(given);
    return;
  }
  uint64_t seed = number_from_environment("LATTICE_PROBLEM_SEED", DEFAULT_SEED);
  uint64_t n = number_from_environment("LATTICE_PROBLEM_COUNT", DEFAULT_COUNT);
  for (int op = 0; op < PROBLEM_N_OPS; op++) {
    if (op == PROBLEM_NETWORK) continue; // tests/unit/test_zoo.c has networks
    for (uint64_t i = 0; i < n; i++) {
      char origin[64];
      snprintf(origin, sizeof origin, "LATTICE_PROBLEM_SEED=%llu, %llu", (unsigned long long)seed,
               (unsigned long long)i);
      run(draw(seed, (problem_op)op, i), origin);
    }
  }
}

/// A check that cannot fail proves nothing: results changed on purpose are found, and shrinking keeps the failure.
static void test_checks_find_wrong_results(void **state) {
  (void)state;
  static const char *const texts[] = {"conv3d:n=20,cin=3,cout=2,s=2,k=2",
                                      "subm_conv3d:n=20,cin=4,groups=2",
                                      "conv_transpose3d:n=20,cin=2,mode=inverse",
                                      "linear:n=9,cin=2,weights=int8",
                                      "relu:n=5,cin=2",
                                      "layer_norm:n=5,cin=4",
                                      "gelu:n=8,cin=1",
                                      "activation:n=8,cin=1",
                                      "pool3d:n=30,cin=2",
                                      "sparse_add:n=10,cin=2",
                                      "global_pool:n=10,mode=avg",
                                      "voxelize:n=10,cin=1",
                                      "devoxelize:n=10,cin=1,density=1",
                                      "relation:n=20,s=2",
                                      "relation:n=20,s=2,support=reach",
                                      "radius:n=20",
                                      "knn:n=20"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    char reason[CHECK_TEXT_BYTES];
    problem item;
    lat_test_assert_ok(problem_parse(texts[i], &item));
    assert_true(check_problem(&item, reason));
    check_problem_with_error = true;
    bool passed = check_problem(&item, reason);
    check_problem_with_error = false;
    if (passed) fail_msg("'%s': a wrong value was not found", texts[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_problems),
      cmocka_unit_test(test_checks_find_wrong_results),
  };
  return cmocka_run_group_tests_name("problems", tests, NULL, NULL);
}
