// Contexts: options and their sizes, CPU levels and the environment, memory accounting, cap and cache, logging, lifetime.
// covers: lat_context_create lat_context_destroy lat_context_threads lat_context_cpu_level lat_context_seed
// covers: lat_context_bytes lat_context_peak_bytes lat_context_reset_peak lat_context_trim lat_cpu_level_name lat_fail
// covers: lat_last_error lat_status_name lat_version
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/array.h>
#include <lattice/version.h>

#include "core/alloc.h"
#include "core/context_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#if defined(__SANITIZE_ADDRESS__)
#define CACHE_IS_OFF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHE_IS_OFF 1
#endif
#endif
#ifndef CACHE_IS_OFF
#define CACHE_IS_OFF 0
#endif

#define MIB ((size_t)1 << 20)

static void assert_refused(const lat_context_opts *opts, lat_status expected, const char *fragment) {
  lat_context *context = (lat_context *)&context;
  lat_test_assert_error(lat_context_create(opts, &context), expected, fragment);
  assert_null(context);
}

static void test_defaults(void **state) {
  (void)state;
  lat_context *context = NULL;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  assert_int_equal(opts.struct_bytes, sizeof opts);
  lat_test_assert_ok(lat_context_create(NULL, &context));
  assert_true(lat_context_threads(context) >= 1);
  assert_true(lat_context_cpu_level(context) != LAT_CPU_LEVEL_AUTO);
  assert_int_equal(lat_context_seed(context), 0);
  assert_int_equal(lat_context_bytes(context), 0);
  lat_context_destroy(context);
  lat_context_destroy(NULL);
  opts.n_threads = 3;
  opts.seed = UINT64_C(0x123456789ABCDEF0);
  lat_test_assert_ok(lat_context_create(&opts, &context));
  assert_int_equal(lat_context_threads(context), 3);
  assert_true(lat_context_seed(context) == UINT64_C(0x123456789ABCDEF0));
  lat_context_destroy(context);
}

static void *no_alloc(void *user, size_t bytes, size_t align) {
  (void)user, (void)bytes, (void)align;
  return NULL;
}

static void no_free(void *user, void *pointer, size_t bytes) {
  (void)user, (void)pointer, (void)bytes;
}

static void test_bad_options(void **state) {
  (void)state;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_test_assert_error(lat_context_create(NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "context_create: out");
  opts.n_threads = -1;
  assert_refused(&opts, LAT_STATUS_INVALID_ARGUMENT, "n_threads: got -1");
  opts.n_threads = 1025;
  assert_refused(&opts, LAT_STATUS_INVALID_ARGUMENT, "n_threads: got 1025, expected 0 to 1024");
  opts.n_threads = 0;
  opts.allocator.alloc = no_alloc;
  assert_refused(&opts, LAT_STATUS_INVALID_ARGUMENT, "allocator: got one of alloc and free");
  opts.allocator = (lat_allocator){NULL, no_free, NULL};
  assert_refused(&opts, LAT_STATUS_INVALID_ARGUMENT, "allocator: got one of alloc and free");
  opts.allocator = (lat_allocator){no_alloc, no_free, NULL};
  assert_refused(&opts, LAT_STATUS_OUT_OF_MEMORY, "context_create: out of memory");
  opts.allocator = (lat_allocator){NULL, NULL, NULL};
  opts.cpu_level = (lat_cpu_level)5;
  assert_refused(&opts, LAT_STATUS_INVALID_ARGUMENT, "cpu_level: got 5");
  opts.cpu_level = (lat_cpu_level)-1;
  assert_refused(&opts, LAT_STATUS_INVALID_ARGUMENT, "cpu_level: got -1");
}

static void test_sizes_of_options(void **state) {
  (void)state;
  struct {
    lat_context_opts known;
    uint64_t later_field;
  } newer = {LAT_CONTEXT_OPTS_INIT, 0};
  lat_context *context = NULL;
  newer.known.n_threads = 2;
  newer.known.seed = 5;
  newer.known.struct_bytes = sizeof newer; // a caller built against a later version
  lat_test_assert_ok(lat_context_create(&newer.known, &context));
  assert_int_equal(lat_context_seed(context), 5);
  lat_context_destroy(context);
  newer.later_field = UINT64_C(1) << 40;
  assert_refused(&newer.known, LAT_STATUS_UNSUPPORTED, "opts has a field that this library version does not know");

  newer.known.struct_bytes = offsetof(lat_context_opts, cpu_level); // a caller built against an earlier one
  lat_test_assert_ok(lat_context_create(&newer.known, &context));
  assert_int_equal(lat_context_threads(context), 2);
  assert_int_equal(lat_context_seed(context), 0); // past the end of what the caller gave
  lat_context_destroy(context);

  const size_t impossible[] = {0, 1, sizeof(size_t) - 1, ((size_t)1 << 16) + 1, SIZE_MAX};
  for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
    newer.known.struct_bytes = impossible[i];
    assert_refused(&newer.known, LAT_STATUS_INVALID_ARGUMENT, "opts.struct_bytes must be the size");
  }
}

static lat_cpu_level level_with(lat_cpu_level cap, const char *environment) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.cpu_level = cap;
  if (environment) {
    setenv("LATTICE_CPU_LEVEL", environment, 1);
  } else {
    unsetenv("LATTICE_CPU_LEVEL");
  }
  lat_test_assert_ok(lat_context_create(&opts, &context));
  lat_cpu_level level = lat_context_cpu_level(context);
  lat_context_destroy(context);
  return level;
}

static void test_cpu_levels(void **state) {
  (void)state;
  char *before = getenv("LATTICE_CPU_LEVEL");
  char *saved = before ? strdup(before) : NULL;
  lat_cpu_level best = level_with(LAT_CPU_LEVEL_AUTO, NULL);
  assert_int_equal(level_with(LAT_CPU_LEVEL_AUTO, ""), best);
  assert_int_equal(level_with(LAT_CPU_LEVEL_AUTO, "auto"), best);
  assert_int_equal(level_with(LAT_CPU_LEVEL_AUTO, "scalar"), LAT_CPU_LEVEL_SCALAR);
  assert_int_equal(level_with(LAT_CPU_LEVEL_SCALAR, NULL), LAT_CPU_LEVEL_SCALAR);
  assert_int_equal(level_with(LAT_CPU_LEVEL_SCALAR, "avx512"), LAT_CPU_LEVEL_SCALAR); // the lower cap counts
  assert_int_equal(level_with(LAT_CPU_LEVEL_AVX512, "scalar"), LAT_CPU_LEVEL_SCALAR);
  assert_int_equal(level_with(LAT_CPU_LEVEL_AVX512, NULL), best);
  assert_true(level_with(LAT_CPU_LEVEL_AVX2, NULL) <= LAT_CPU_LEVEL_AVX2);
  assert_true(level_with(LAT_CPU_LEVEL_AUTO, "avx2") <= LAT_CPU_LEVEL_AVX2);
#if defined(__x86_64__)
  assert_int_equal(level_with(LAT_CPU_LEVEL_NEON, NULL), LAT_CPU_LEVEL_SCALAR); // another machine's level
#elif defined(__aarch64__)
  assert_int_equal(best, LAT_CPU_LEVEL_NEON);
  assert_int_equal(level_with(LAT_CPU_LEVEL_AUTO, "neon"), LAT_CPU_LEVEL_NEON);
#endif
  setenv("LATTICE_CPU_LEVEL", "AVX2", 1);
  assert_refused(NULL, LAT_STATUS_INVALID_ARGUMENT, "LATTICE_CPU_LEVEL is no level: got 'AVX2', expected auto, scalar");
  if (saved) {
    setenv("LATTICE_CPU_LEVEL", saved, 1);
  } else {
    unsetenv("LATTICE_CPU_LEVEL");
  }
  free(saved);
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(lat_cpu_level_name(LAT_CPU_LEVEL_AUTO), "auto");
  assert_string_equal(lat_cpu_level_name(LAT_CPU_LEVEL_SCALAR), "scalar");
  assert_string_equal(lat_cpu_level_name(LAT_CPU_LEVEL_NEON), "neon");
  assert_string_equal(lat_cpu_level_name(LAT_CPU_LEVEL_AVX2), "avx2");
  assert_string_equal(lat_cpu_level_name(LAT_CPU_LEVEL_AVX512), "avx512");
  assert_string_equal(lat_cpu_level_name((lat_cpu_level)9), "unknown");
  for (int s = LAT_STATUS_OK; s <= LAT_STATUS_INTERNAL; s++) {
    assert_int_equal(strncmp(lat_status_name((lat_status)s), "LAT_STATUS_", 11), 0);
    assert_string_not_equal(lat_status_name((lat_status)s), "LAT_STATUS_UNKNOWN");
  }
  assert_string_equal(lat_status_name(LAT_STATUS_OVERFLOW), "LAT_STATUS_OVERFLOW");
  assert_string_equal(lat_status_name((lat_status)99), "LAT_STATUS_UNKNOWN");
}

static void test_last_error_is_cut_at_511_bytes(void **state) {
  (void)state;
  char text[600];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  assert_int_equal(lat_fail(LAT_STATUS_BAD_DATA, "op: %s", text), LAT_STATUS_BAD_DATA);
  assert_int_equal(strlen(lat_last_error()), 511);
  (void)lat_fail(LAT_STATUS_OVERFLOW, "op: got %d, expected %d", 3, 4);
  assert_string_equal(lat_last_error(), "op: got 3, expected 4");
}

static lat_array *bytes_array(lat_context *context, size_t n_bytes) {
  const int64_t n = (int64_t)n_bytes;
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_U8, 1, &n, 7, &array));
  return array;
}

static void test_accounting(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context *context = lat_test_context_create(&counter, 1);
  lat_array *a = bytes_array(context, MIB);
  uint64_t with_one = lat_context_bytes(context);
  assert_in_range(with_one, MIB, MIB + 1024);
  lat_array *b = bytes_array(context, 100);
  assert_true(lat_context_bytes(context) >= with_one + 100);
  assert_int_equal(lat_context_peak_bytes(context), lat_context_bytes(context));
  lat_array_release(a);
  assert_true(lat_context_bytes(context) < 2048);
  assert_true(lat_context_peak_bytes(context) > MIB);
  lat_context_reset_peak(context);
  assert_int_equal(lat_context_peak_bytes(context), lat_context_bytes(context));
  lat_array_release(b);
  assert_int_equal(lat_context_bytes(context), 0);
  lat_test_context_finish(context, &counter);
}

static void test_alloc_zero_bytes_and_alignment(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context *context = lat_test_context_create(&counter, 1);
  void *empty = NULL, *block = NULL, *zeros = NULL;
  lat_test_assert_ok(lat__alloc(context, "test", 0, &empty));
  assert_non_null(empty);
  lat_test_assert_ok(lat__alloc(context, "test", 3 * MIB, &block));
  assert_int_equal((uintptr_t)block % 64, 0);
  memset(block, 0xFF, 3 * MIB);
  lat__free(context, block);
  lat_test_assert_ok(lat__alloc_zero(context, "test", 3, MIB, &zeros)); // the same memory, cleared
  for (size_t i = 0; i < 3 * MIB; i += 4099) assert_int_equal(((unsigned char *)zeros)[i], 0);
  lat__free(context, zeros);
  lat__free(context, empty);
  lat__free(context, NULL);
  lat_test_context_finish(context, &counter);
}

static void test_alloc_overflow(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context *context = lat_test_context_create(&counter, 1);
  void *block = context;
  lat_test_assert_error(lat__alloc(context, "test", SIZE_MAX, &block), LAT_STATUS_OVERFLOW, "test: allocation size");
  assert_null(block);
  lat_test_assert_error(lat__alloc_items(context, "test", INT64_MAX, 8, &block), LAT_STATUS_OVERFLOW,
                        "allocation size does not fit");
  lat_test_assert_error(lat__alloc_items(context, "test", -1, 8, &block), LAT_STATUS_OVERFLOW, "got -1 items");
  lat_test_assert_error(lat__alloc_zero(context, "test", INT64_MAX, 1, &block), LAT_STATUS_OUT_OF_MEMORY,
                        "test: out of memory");
  assert_null(block);
  lat_test_context_finish(context, &counter);
}

static void test_cache_reuses_large_blocks(void **state) {
  (void)state;
  if (CACHE_IS_OFF) skip();
  lat_test_allocator counter = {.fail_at = 0};
  lat_context *context = lat_test_context_create(&counter, 1);
  void *block = NULL, *again = NULL, *smaller = NULL;
  lat_test_assert_ok(lat__alloc(context, "test", MIB, &block));
  long long calls = atomic_load(&counter.n_calls);
  lat__free(context, block);
  assert_int_equal(lat_context_bytes(context), 0); // kept blocks are not counted
  lat_test_assert_ok(lat__alloc(context, "test", MIB, &again));
  assert_ptr_equal(again, block);
  assert_int_equal(atomic_load(&counter.n_calls), calls);
  lat__free(context, again);
  lat_test_assert_ok(lat__alloc(context, "test", MIB - MIB / 8, &smaller)); // an eighth of waste is fine
  assert_int_equal(atomic_load(&counter.n_calls), calls);
  lat__free(context, smaller);
  lat_test_assert_ok(lat__alloc(context, "test", MIB / 2, &smaller)); // half is not
  assert_int_equal(atomic_load(&counter.n_calls), calls + 1);
  lat__free(context, smaller);
  lat_context_trim(context);
  assert_int_equal(atomic_load(&counter.live_blocks), 1); // the context itself
  lat_test_context_finish(context, &counter);
}

static void test_cache_never_exceeds_the_peak(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context *context = lat_test_context_create(&counter, 1);
  for (int i = 0; i < 200; i++) {
    void *block = NULL;
    lat_test_assert_ok(lat__alloc(context, "test", ((size_t)40 + (size_t)(i % 97) * 8) << 10, &block));
    lat__free(context, block);
  }
  assert_true((uint64_t)atomic_load(&counter.live_bytes) <= lat_context_peak_bytes(context) + sizeof(lat_context) + 64);
  lat_test_context_finish(context, &counter);
}

static void test_cache_goes_back_before_a_refusal(void **state) {
  (void)state;
  if (CACHE_IS_OFF) skip();
  lat_test_allocator counter = {.fail_for = 1};
  lat_context *context = lat_test_context_create(&counter, 1);
  void *block = NULL;
  lat_test_assert_ok(lat__alloc(context, "test", MIB, &block));
  lat__free(context, block);
  counter.fail_at = atomic_load(&counter.n_calls) + 1; // the host has no room until the kept block is back
  lat_test_assert_ok(lat__alloc(context, "test", 8 * MIB, &block));
  assert_int_equal(atomic_load(&counter.n_failed), 1);
  assert_int_equal(atomic_load(&counter.live_blocks), 2);
  lat__free(context, block);
  lat_test_context_finish(context, &counter);
}

static void test_memory_cap(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  void *a = NULL, *b = NULL, *c = NULL;
  opts.memory_cap_bytes = 3 * MIB;
  opts.n_threads = 1;
  opts.allocator = lat_test_allocator_hooks(&counter);
  lat_test_assert_ok(lat_context_create(&opts, &context));
  lat_test_assert_ok(lat__alloc(context, "test", 2 * MIB, &a));
  lat_test_assert_error(lat__alloc(context, "test", MIB + 1, &b), LAT_STATUS_OUT_OF_MEMORY,
                        "test: memory cap would be exceeded: got 1048577 bytes more than the 2097152 in use");
  assert_null(b);
  lat_test_assert_ok(lat__alloc(context, "test", MIB, &b)); // exactly full
  lat_test_assert_error(lat__alloc(context, "test", 1, &c), LAT_STATUS_OUT_OF_MEMORY, "expected at most 3145728");
  lat__free(context, a);
  lat__free(context, b);
  lat_test_assert_ok(lat__alloc(context, "test", 3 * MIB, &c)); // kept blocks make way for it
  assert_true(atomic_load(&counter.live_bytes) < (long long)(3 * MIB + 4096));
  lat__free(context, c);
  lat_test_context_finish(context, &counter);
}

static void test_objects_outlive_their_context(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context *context = lat_test_context_create(&counter, 2);
  lat_array *array = bytes_array(context, MIB);
  lat_array *shared = lat_array_retain(array);
  lat_context_destroy(context);
  assert_int_equal(((unsigned char *)lat_array_data(shared))[MIB - 1], 7);
  lat_array_release(array);
  assert_int_equal(((unsigned char *)lat_array_data(shared))[0], 7);
  lat_array_release(shared);
  assert_int_equal(atomic_load(&counter.live_blocks), 0); // nothing was kept after the context's end
}

typedef struct log_lines {
  int n;
  lat_log_level level;
  char last[600];
} log_lines;

static void take_line(void *user, lat_log_level level, const char *message) {
  log_lines *lines = user;
  lines->n++;
  lines->level = level;
  snprintf(lines->last, sizeof lines->last, "%s", message);
}

static void test_log(void **state) {
  (void)state;
  log_lines lines = {0};
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  char text[700];
  opts.log = take_line;
  opts.log_user = &lines;
  opts.log_level = LAT_LOG_INFO;
  opts.n_threads = 3;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  assert_int_equal(lines.n, 1); // what it works with
  assert_non_null(strstr(lines.last, "3 threads"));
  lat__log(context, LAT_LOG_DEBUG, "dropped");
  assert_int_equal(lines.n, 1);
  lat__log(context, LAT_LOG_WARNING, "number %d", 42);
  assert_int_equal(lines.n, 2);
  assert_int_equal(lines.level, LAT_LOG_WARNING);
  assert_string_equal(lines.last, "number 42");
  memset(text, 'y', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  lat__log(context, LAT_LOG_INFO, "%s", text); // cut, not overrun
  assert_int_equal(strlen(lines.last), 511);
  lat_context_destroy(context);
}

static void test_version(void **state) {
  (void)state;
  char expected[32];
  snprintf(expected, sizeof expected, "%d.%d.%d", LAT_VERSION_MAJOR, LAT_VERSION_MINOR, LAT_VERSION_PATCH);
  assert_string_equal(lat_version(), expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_version),
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_bad_options),
      cmocka_unit_test(test_sizes_of_options),
      cmocka_unit_test(test_cpu_levels),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_last_error_is_cut_at_511_bytes),
      cmocka_unit_test(test_accounting),
      cmocka_unit_test(test_alloc_zero_bytes_and_alignment),
      cmocka_unit_test(test_alloc_overflow),
      cmocka_unit_test(test_cache_reuses_large_blocks),
      cmocka_unit_test(test_cache_never_exceeds_the_peak),
      cmocka_unit_test(test_cache_goes_back_before_a_refusal),
      cmocka_unit_test(test_memory_cap),
      cmocka_unit_test(test_objects_outlive_their_context),
      cmocka_unit_test(test_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
