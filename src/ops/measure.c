// Limits of the device, for benchmarks that state their share of them.

#include <lattice/context.h>

#include "backend/backend.h"

static lat_status check(const char *op, const lat_context *context, double seconds, const double *result,
                        const char *result_name) {
  if (!context || !result) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected %s", op, context ? result_name : "context",
                    context ? "a place for the result" : "a context");
  }
  if (!(seconds > 0.0 && seconds <= 60.0)) { // refuses NaN too
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: seconds: got %g, expected above 0 and at most 60", op, seconds);
  }
  return LAT_STATUS_OK;
}

lat_status lat_measure_fma_peak(lat_context *context, double seconds, double *gflops) {
  lat_status status = check("measure_fma_peak", context, seconds, gflops, "gflops");
  return status ? status : lat__backend_of(context)->product_peak(context, LAT_PRODUCT_F32, seconds, gflops);
}

lat_status lat_measure_product_peak(lat_context *context, lat_product product, double seconds, double *gops) {
  lat_status status = check("measure_product_peak", context, seconds, gops, "gops");
  if (status) return status;
  if ((int)product < LAT_PRODUCT_F32 || product > LAT_PRODUCT_INT8) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "measure_product_peak: product: got %d, expected 0 to %d",
                    (int)product, (int)LAT_PRODUCT_INT8);
  }
  return lat__backend_of(context)->product_peak(context, product, seconds, gops);
}
