// The choice of the CPU level: what a cap allows, and that every level a context can have has its kernels.
#include <string.h>

#include <lattice/lattice.h>

#include "backend/backend.h"
#include "backend/cpu/kernel/cpu_kernels.h"
#include "support/test_support.h"

static const lat_cpu_level levels[] = {LAT_CPU_LEVEL_SCALAR, LAT_CPU_LEVEL_NEON, LAT_CPU_LEVEL_AVX2,
                                       LAT_CPU_LEVEL_AVX512};

enum { N_LEVELS = 4 };

// A cap that the machine lacks gives the best level below it, never the cap itself.
static void test_cap(void **state) {
  (void)state;
  lat_cpu_level best = LAT_CPU_LEVEL_SCALAR;
  for (int i = 0; i < N_LEVELS; i++) {
    if (lat__cpu_kernels_of(levels[i])) best = levels[i];
    assert_int_equal(lat__backend_cpu_level(levels[i]), best);
  }
  assert_int_equal(lat__backend_cpu_level(LAT_CPU_LEVEL_AUTO), best);
}

static void test_tables(void **state) {
  (void)state;
  assert_non_null(lat__cpu_kernels_of(LAT_CPU_LEVEL_SCALAR));
  assert_null(lat__cpu_kernels_of(LAT_CPU_LEVEL_AUTO));
  assert_null(lat__cpu_kernels_of((lat_cpu_level)99));
  for (int i = 0; i < N_LEVELS; i++) {
    const lat__cpu_kernels *table = lat__cpu_kernels_of(levels[i]);
    if (!table) continue;
    assert_string_equal(table->level, lat_cpu_level_name(levels[i]));
    assert_non_null(strstr(table->gemm_name, table->level));
    assert_true(table->lanes >= 1 && table->tile_vectors >= 1 && table->tile_rows >= 1);
    assert_true(table->lanes * table->tile_vectors <= 64); // what packing has room for
#define X(slot, result, arguments) assert_true(table->slot != NULL);
#include "backend/cpu/kernel/cpu_kernels.list"
#undef X
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cap), cmocka_unit_test(test_tables)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
