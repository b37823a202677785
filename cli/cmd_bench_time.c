/// Repeated timing, and the two limits of a machine: multiply-adds and copies.
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd_bench.h"

enum { MOST_REPEATS = 1000, LEAST_REPEATS_OF_SLOW = 3, PATIENCE = 20 };

// --- clock ----------------------------------------------------------------------------------------------------------

static clockid_t chosen_clock = CLOCK_MONOTONIC;

void bench_use_cpu_time(void) {
  chosen_clock = CLOCK_PROCESS_CPUTIME_ID;
}

double bench_seconds(void) {
  struct timespec now;
  clock_gettime(chosen_clock, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// --- repeats --------------------------------------------------------------------------------------------------------

static int compare_seconds(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

/// The value at the given share of the sorted samples, between neighbours by line.
static double quantile(const double *samples, int64_t n, double share) {
  double place = share * (double)(n - 1);
  int64_t below = (int64_t)place;
  int64_t above = below + 1 < n ? below + 1 : below;
  return samples[below] + (samples[above] - samples[below]) * (place - (double)below);
}

lat_status bench_repeat(const bench_policy *policy, bench_step step, void *user, bench_times *out) {
  double samples[MOST_REPEATS];
  int64_t n = 0;
  double start = cli_seconds(), elapsed = 0.0;
  while (n < MOST_REPEATS && (n < policy->repeats || elapsed < policy->seconds)) {
    if (n >= LEAST_REPEATS_OF_SLOW && elapsed > PATIENCE * policy->seconds) break;
    lat_status status = step(user, &samples[n]);
    if (status) return status;
    n++;
    elapsed = cli_seconds() - start;
  }
  qsort(samples, (size_t)n, sizeof *samples, compare_seconds);
  double median = quantile(samples, n, 0.5);
  double range = quantile(samples, n, 0.75) - quantile(samples, n, 0.25);
  *out = (bench_times){n, median, samples[0], median > 0.0 ? range / median : 0.0};
  return LAT_STATUS_OK;
}

// --- limits ---------------------------------------------------------------------------------------------------------

// Many short windows: on a machine with other work some of them run undisturbed.
enum { N_WINDOWS = 24 };
static const double window_seconds = 0.004;

/// Best rates of products of this process. A limit does not fall: what an earlier problem saw holds for later ones.
typedef struct seen_peak {
  int32_t threads;
  lat_cpu_level level;
  lat_product product;
  double gflops;
} seen_peak;

static double *find_peak(const lat_context *context, lat_product product) {
  static seen_peak seen[32];
  size_t i = 0;
  int32_t threads = lat_context_threads(context);
  lat_cpu_level level = lat_context_cpu_level(context);
  while (i + 1 < sizeof seen / sizeof seen[0] && seen[i].threads &&
         (seen[i].threads != threads || seen[i].level != level || seen[i].product != product)) {
    i++;
  }
  if (seen[i].threads != threads || seen[i].level != level || seen[i].product != product) {
    seen[i] = (seen_peak){threads, level, product, 0.0};
  }
  return &seen[i].gflops;
}

lat_status bench_product_peak(lat_context *context, lat_product product, double *gflops) {
  double *best = find_peak(context, product);
  for (int i = 0; i < N_WINDOWS; i++) {
    double once;
    lat_status status = lat_measure_product_peak(context, product, window_seconds, &once);
    if (status) return status;
    *best = fmax(*best, once);
  }
  *gflops = *best;
  return LAT_STATUS_OK;
}

/// One thread's part of the copy.
typedef struct copy_part {
  char *from, *to;
  size_t bytes;
  double copied; ///< bytes
  pthread_t thread;
} copy_part;

static void *copy_window(void *argument) {
  copy_part *part = argument;
  double start = cli_seconds();
  part->copied = 0.0;
  do {
    memcpy(part->to, part->from, part->bytes);
    part->copied += (double)part->bytes;
    char *swap = part->from; // the next round reads what this one wrote: no copy can be left out
    part->from = part->to;
    part->to = swap;
  } while (cli_seconds() - start < window_seconds);
  return NULL;
}

/// All threads copy for a window. The calling thread takes the first part.
static lat_status copy_once(copy_part *parts, int32_t n_threads, double *gigabytes_per_second) {
  double start = bench_seconds(), copied = 0.0;
  int32_t n_started = 1;
  while (n_started < n_threads && pthread_create(&parts[n_started].thread, NULL, copy_window, &parts[n_started]) == 0) {
    n_started++;
  }
  copy_window(&parts[0]);
  for (int32_t i = 1; i < n_started; i++) pthread_join(parts[i].thread, NULL);
  if (n_started < n_threads) {
    return lat_fail(LAT_STATUS_DEVICE_ERROR, "bench: cannot start threads: got %d, expected %d", n_started, n_threads);
  }
  for (int32_t i = 0; i < n_threads; i++) copied += parts[i].copied;
  *gigabytes_per_second = 2e-9 * copied / (bench_seconds() - start);
  return LAT_STATUS_OK;
}

lat_status bench_copy_bandwidth(int32_t n_threads, size_t bytes, double *gigabytes_per_second) {
  size_t part_bytes = bytes / (size_t)n_threads;
  if (part_bytes < 4096) part_bytes = 4096;
  char *memory = malloc(2 * part_bytes * (size_t)n_threads);
  copy_part *parts = calloc((size_t)n_threads, sizeof *parts);
  lat_status status = LAT_STATUS_OK;
  *gigabytes_per_second = 0.0;
  if (memory && parts) {
    memset(memory, 1, 2 * part_bytes * (size_t)n_threads); // pages are there before the clock runs
    for (int32_t i = 0; i < n_threads; i++) {
      char *from = memory + 2 * part_bytes * (size_t)i;
      parts[i] = (copy_part){.from = from, .to = from + part_bytes, .bytes = part_bytes};
    }
    for (int i = 0; !status && i < N_WINDOWS; i++) {
      double once = 0.0;
      status = copy_once(parts, n_threads, &once);
      *gigabytes_per_second = fmax(*gigabytes_per_second, once);
    }
  } else {
    status = lat_fail(LAT_STATUS_OUT_OF_MEMORY, "bench: no memory for a copy of %zu bytes", bytes);
  }
  free(memory);
  free(parts);
  return status;
}

lat_status bench_measure_limits(int32_t threads, bench_limits *out) {
  const size_t bytes = (size_t)64 << 20; // beyond the caches
  lat_context *context = NULL;
  lat_status status = cli_context_create(threads, 0, &context);
  if (status) return status;
  *out = (bench_limits){.threads = lat_context_threads(context), .level = lat_context_cpu_level(context)};
  status = bench_product_peak(context, LAT_PRODUCT_F32, &out->fma_gflops);
  if (!status) status = bench_product_peak(context, LAT_PRODUCT_BF16, &out->bf16_gflops);
  if (!status) status = bench_product_peak(context, LAT_PRODUCT_INT8, &out->int8_gflops);
  if (!status) status = bench_copy_bandwidth(out->threads, bytes, &out->copy_gbs);
  lat_context_destroy(context);
  return status;
}
