/// The parts of `lattice bench`: repeated timing, the limits of the machine, one measured problem, its report.
#ifndef LATTICE_CMD_BENCH_H
#define LATTICE_CMD_BENCH_H

#include <stdio.h>

#include "cli.h"
#include "problem_case.h"

/// Times of repeated runs, in seconds.
typedef struct bench_times {
  int64_t n;     ///< repeats; 0: not measured
  double median; ///< of all repeats
  double min;
  double spread; ///< (upper quartile - lower quartile) / median
} bench_times;

/// How long something is repeated: at least `repeats` times and at least `seconds`; slow things stop earlier, after
/// twenty times `seconds` and three repeats.
typedef struct bench_policy {
  int64_t repeats;
  double seconds;
  bool cpu_time; ///< what bench_use_cpu_time was called for
} bench_policy;

/// Makes every time of this program one of the process's CPU time: being pre-empted does not count then. For machines
/// that others work on, and one thread.
void bench_use_cpu_time(void);

/// Seconds of the chosen clock.
double bench_seconds(void);

/// Does something once and says how long the part that counts took.
typedef lat_status (*bench_step)(void *user, double *seconds);

LAT_CHECKED lat_status bench_repeat(const bench_policy *policy, bench_step step, void *user, bench_times *out);

/// Copy bandwidth in GB/s, bytes read plus bytes written: `n_threads` threads each copy their part of `bytes` bytes, again
/// and again; the best of some windows. Errors: OUT_OF_MEMORY, DEVICE_ERROR (threads cannot be started).
LAT_CHECKED lat_status bench_copy_bandwidth(int32_t n_threads, size_t bytes, double *gigabytes_per_second);

/// Limit of products of the context's threads and level in GFLOP/s: the best of some windows, and of what this process
/// measured before.
LAT_CHECKED lat_status bench_product_peak(lat_context *context, lat_product product, double *gflops);

/// What was measured of one problem. Reals that do not apply are NaN.
typedef struct bench_result {
  problem item;
  int32_t threads;
  lat_cpu_level level;
  int64_t n_in, n_out;
  int64_t edges;                            ///< -1: the operator has none
  char algorithm[LAT_ALGORITHM_NAME_BYTES]; ///< "": the operator has one way
  lat_conv_candidates ways;                 ///< what `algorithm` was taken from; count 0: nothing to choose
  bench_times run;                          ///< the operator, with everything cached that the sets cache
  bench_times map;                          ///< its relation on a new set of the same rows
  bench_times first;                        ///< the operator on a new set of the same rows
  bench_times peer;                         ///< the naive peer
  double flops;                             ///< of one run, padding not counted
  double bytes;                             ///< that one run must at least read and write
  bool cpu_time;                            ///< times are CPU time
  lat_product product;                      ///< what operators bound by arithmetic do
  double peak_gflops;                       ///< their limit
  double copy_gbs;                          ///< limit for operators bound by memory: a copy of as many bytes
  uint64_t peak_bytes;
} bench_result;

/// Measures a problem.
LAT_CHECKED lat_status bench_measure(const problem *item, const bench_policy *policy, bench_result *out);

/// Plain gather, triple loop, scatter on one thread, no blocking: what the operator is compared with. `weight` is
/// `(n_kernels, c_in, c_out)`, y `(n_out, c_out)`. Errors: OUT_OF_MEMORY.
typedef struct bench_naive {
  const problem_case *inputs;
  lat_relation *relation; ///< NULL: row i meets row i
  float *weight;          ///< `(n_kernels, c_in, c_out)`
  float *gathered, *product;
  float *y; ///< `(n_out, c_out)`
  int64_t n_out;
} bench_naive;
LAT_CHECKED lat_status bench_naive_create(const problem_case *inputs, lat_relation *relation, int64_t n_out,
                                          bench_naive *out);
LAT_CHECKED lat_status bench_naive_run(bench_naive *self);
void bench_naive_release(bench_naive *self);

/// Where a measurement was made.
typedef struct bench_origin {
  char machine[96]; ///< from the CPU's model, e.g. "amd-epyc-25-1-2cpu"; names no host
  char cpu[96];     ///< as the system calls it
  char commit[64];  ///< of the sources, "unknown" outside a repository
  char compiler[96];
  char date[32]; ///< UTC
} bench_origin;

/// Finds out the origin. `commit` NULL: asks git.
void bench_find_origin(const char *commit, bench_origin *out);

/// One result as a JSON object; `origin` NULL: without it. NULL when there is no memory.
json_t *bench_result_json(const bench_result *result, const bench_origin *origin);

/// The ways of a result in their order: which was taken, and why the others were not.
void bench_print_ways(const bench_result *result);

/// The table: a head, then a line for each result.
void bench_print_head(void);
void bench_print_row(const bench_result *result);

/// Limits of the machine at one thread count.
typedef struct bench_limits {
  int32_t threads;
  lat_cpu_level level;
  double fma_gflops, bf16_gflops, int8_gflops, copy_gbs;
} bench_limits;
LAT_CHECKED lat_status bench_measure_limits(int32_t threads, bench_limits *out);
json_t *bench_limits_json(const bench_limits *limits, const bench_origin *origin);

#endif
