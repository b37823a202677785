// Limits of the device, for benchmarks that state their share of them.

#include <lattice/context.h>

#include "backend/backend.h"

lat_status lat_measure_fma_peak(lat_context *context, double seconds, double *gflops) {
  if (!context || !gflops) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "measure_fma_peak: %s: got NULL, expected %s",
                    context ? "gflops" : "context", context ? "a place for the result" : "a context");
  }
  if (!(seconds > 0.0 && seconds <= 60.0)) { // refuses NaN too
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "measure_fma_peak: seconds: got %g, expected above 0 and at most 60",
                    seconds);
  }
  return lat__backend_of(context)->fma_peak(context, seconds, gflops);
}
