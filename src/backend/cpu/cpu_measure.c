// The machine's own limit, measured with the kernels' instructions.

#include <time.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel/cpu_kernels.h"
#include "core/alloc.h"
#include "core/context_internal.h"
#include "core/thread.h"

/// Rounds between two looks at the clock: some 20 microseconds at the vector levels.
#define ROUNDS 100

typedef struct peak_job {
  const lat__cpu_kernels *kernels;
  double seconds;
  double *flops; ///< per item
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
    int64_t flops = 0;
    double start = now_seconds();
    do {
      flops += job->kernels->fma_peak(ROUNDS, &sink);
    } while (now_seconds() - start < job->seconds);
    job->flops[item] = (double)flops;
  }
}

lat_status lat__cpu_fma_peak(lat_context *context, double seconds, double *gflops) {
  void *flops = NULL;
  lat_status status = lat__alloc_zero(context, "measure_fma_peak", context->n_threads, sizeof(double), &flops);
  if (status) return status;
  peak_job job = {lat__cpu_kernels_of(context->cpu_level), seconds, flops};
  double start = now_seconds();
  lat__parallel_for(context, context->n_threads, 1, run_chains, &job);
  double elapsed = now_seconds() - start;
  double total = 0.0;
  for (int32_t i = 0; i < context->n_threads; i++) total += job.flops[i];
  *gflops = total / elapsed * 1e-9;
  lat__free(context, flops);
  return LAT_STATUS_OK;
}
