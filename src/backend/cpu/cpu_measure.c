// The machine's own limit, measured with the kernels' instructions.

#include <time.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel/cpu_products.h"
#include "core/alloc.h"
#include "core/context_internal.h"
#include "core/thread.h"

/// Rounds between two looks at the clock: some 20 microseconds at the vector levels.
#define ROUNDS 100

/// A slot that runs chains of products.
typedef int64_t (*peak_fn)(int64_t n_rounds, float *sink);

typedef struct peak_job {
  peak_fn run;
  double seconds;
  double *operations; ///< per item
} peak_job;

static double now_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void run_chains(void *arg, int64_t begin, int64_t end, int worker) {
  const peak_job *job = arg;
  (void)worker;
  for (int64_t item = begin; item < end; item++) {
    float sink = 0.0f;
    int64_t operations = 0;
    double start = now_seconds();
    do {
      operations += job->run(ROUNDS, &sink);
    } while (now_seconds() - start < job->seconds);
    job->operations[item] = (double)operations;
  }
}

/// The products that convolutions of a level use.
static peak_fn chains_of(lat_cpu_level level, lat_product product) {
  const lat__cpu_kernels *kernels = lat__cpu_kernels_of(level);
  const lat__cpu_products *products = lat__cpu_products_of(level);
  if (product == LAT_PRODUCT_INT8) return products && products->int8_peak ? products->int8_peak : kernels->dot_peak_i16;
  return product == LAT_PRODUCT_BF16 && products && products->bf16_peak ? products->bf16_peak : kernels->fma_peak;
}

lat_status lat__cpu_product_peak(lat_context *context, lat_product product, double seconds, double *gops) {
  void *operations = NULL;
  lat_status status = lat__alloc_zero(context, "measure_peak", context->n_threads, sizeof(double), &operations);
  if (status) return status;
  peak_job job = {chains_of(context->cpu_level, product), seconds, operations};
  double start = now_seconds();
  lat__parallel_for(context, context->n_threads, 1, run_chains, &job);
  double elapsed = now_seconds() - start;
  double total = 0.0;
  for (int32_t i = 0; i < context->n_threads; i++) total += job.operations[i];
  *gops = total / elapsed * 1e-9;
  lat__free(context, operations);
  return LAT_STATUS_OK;
}
