// Every kernel slot at every level that this machine has, against the scalar level: random inputs that end at a guard
// page, poisoned outputs between canaries, every tail, bit-equal results.
//
// usage: checkasm [SLOT]     (or LATTICE_CHECKASM_SLOT=SLOT) checks one slot alone
//
// A new slot in cpu_kernels.list needs `static void check_<slot>(const checker *c)` in a check_<family>.h included below;
// without it this file does not compile.
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/kernel/cpu_kernels.h"
#include "backend/cpu/kernel/cpu_products.h"
#include "support/guarded_memory.h"
#include "support/test_support.h"

/// What a check works on. It calls the slot of both tables and compares.
typedef struct checker {
  const lat__cpu_kernels *scalar; ///< the meaning of the slot
  const lat__cpu_kernels *level;  ///< the table under test
} checker;

/// As checker, for the tables of products.
typedef struct products_checker {
  const lat__cpu_products *scalar, *table;
} products_checker;

static uint64_t random_state = 1;

/// xorshift64*: the same cases in every run.
static uint64_t next_random(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545F4914F6CDD1Du;
}

/// Uniform in [0, n).
static int64_t random_below(int64_t n) {
  return (int64_t)(next_random() >> 33) % n;
}

/// A float in (-4, 4), now and then an exact zero of either sign.
static float random_float(void) {
  int64_t draw = random_below(64);
  if (draw < 2) return draw == 0 ? 0.0f : -0.0f;
  return ((float)(next_random() >> 40) - 8388608.0f) / 2097152.0f;
}

static void fill_floats(float *values, int64_t n) {
  for (int64_t i = 0; i < n; i++) values[i] = random_float();
}

/// Fails the test at the first byte that differs.
static void assert_same_bytes(const char *what, const void *got, const void *expected, size_t bytes) {
  const unsigned char *a = got, *b = expected;
  for (size_t i = 0; i < bytes; i++) {
    if (a[i] != b[i]) fail_msg("%s: byte %zu of %zu: got %02x, expected %02x", what, i, bytes, a[i], b[i]);
  }
}

// One header for each family of kernels.
#include "checkasm/check_conv.h"
#include "checkasm/check_depthwise.h"
#include "checkasm/check_dot_gemm.h"
#include "checkasm/check_epilogue.h"
#include "checkasm/check_features.h"
#include "checkasm/check_products.h"
#include "checkasm/check_row_gemm.h"
#include "checkasm/check_window.h"

typedef struct slot_check {
  const char *name;
  void (*check)(const checker *c);
  void (*check_products)(const products_checker *c);
} slot_check;

static slot_check slots[] = {
// not const: cmocka hands them on as void *
#define X(slot, result, arguments) {.name = #slot, .check = check_##slot},
#include "backend/cpu/kernel/cpu_kernels.list"
#undef X
#define X(slot, result, arguments) {.name = #slot, .check_products = check_##slot},
#include "backend/cpu/kernel/cpu_products.list"
#undef X
};

#define N_SLOTS (sizeof slots / sizeof slots[0])

static const lat_cpu_level levels[] = {LAT_CPU_LEVEL_SCALAR, LAT_CPU_LEVEL_NEON, LAT_CPU_LEVEL_AVX2,
                                       LAT_CPU_LEVEL_AVX512};

#define N_LEVELS (sizeof levels / sizeof levels[0])

/// Runs one slot of products on every table that this machine has.
static void test_products(const slot_check *slot) {
  products_checker c = {.scalar = lat__cpu_products_at(0)};
  assert_non_null(c.scalar);
  for (int i = 0; (c.table = lat__cpu_products_at(i)) != NULL; i++) {
    random_state = 0x9E3779B97F4A7C15u;
    slot->check_products(&c);
    guarded_free_all();
  }
}

/// Runs one slot at every available level. Scalar against itself shows that the check and the guards are sound.
static void test_slot(void **state) {
  const slot_check *slot = *state;
  if (slot->check_products) {
    test_products(slot);
    return;
  }
  checker c = {.scalar = lat__cpu_kernels_of(LAT_CPU_LEVEL_SCALAR)};
  assert_non_null(c.scalar);
  for (size_t i = 0; i < N_LEVELS; i++) {
    c.level = lat__cpu_kernels_of(levels[i]);
    if (!c.level) continue;
    random_state = 0x9E3779B97F4A7C15u;
    slot->check(&c);
    guarded_free_all();
  }
}

static void print_levels(void) {
  for (size_t i = 0; i < N_LEVELS; i++) {
    const char *name = lat_cpu_level_name(levels[i]);
    print_message(lat__cpu_kernels_of(levels[i]) ? "checkasm: level %s: runs\n"
                                                 : "checkasm: level %s: skipped, this machine or build lacks it\n",
                  name);
  }
  const lat__cpu_products *table;
  for (int i = 0; (table = lat__cpu_products_at(i)) != NULL; i++) {
    print_message("checkasm: products %s: run\n", table->name);
  }
}

int main(int argc, char **argv) {
  const char *only = argc > 1 ? argv[1] : getenv("LATTICE_CHECKASM_SLOT");
  struct CMUnitTest tests[N_SLOTS];
  size_t n_tests = 0;
  for (size_t i = 0; i < N_SLOTS; i++) {
    if (only && *only && strcmp(only, slots[i].name) != 0) continue;
    tests[n_tests++] = (struct CMUnitTest){.name = slots[i].name, .test_func = test_slot, .initial_state = &slots[i]};
  }
  print_levels();
  if (n_tests == 0) {
    print_error("checkasm: no slot is called %s\n", only);
    return 2;
  }
  return _cmocka_run_group_tests("checkasm", tests, n_tests, NULL, NULL);
}
