/// The errors that the specification names: one line for each, with its section, and things to spoil.
#ifndef LAT_TEST_SPEC_ERRORS_H
#define LAT_TEST_SPEC_ERRORS_H

#include <lattice/lattice.h>

#include "support/test_support.h"

/// Operands that are good: the line x = 0, 1, 2 in batch item 0 with one channel 1, 2, 3 and weights for it.
typedef struct spec_line {
  lat_context *context;
  lat_coords *coords, *twice; ///< stride 1; stride 2, the same rows
  lat_tensor *x, *half, *on_twice, *counted, *wide;
  ///< float32; float16; on `twice`; declares counts (3, 0); two channels
  lat_quantized_weight *packed_point, *packed_line; ///< (1, 1) and (3, 1, 1), one channel each
} spec_line;

/// The operands, between set-up and tear-down.
extern spec_line line;

/// Group fixtures of cmocka. Tear-down fails when something was leaked.
int spec_line_set_up(void **state);
int spec_line_tear_down(void **state);

/// Where the calls write. Every handle holds something that is no handle before a call.
typedef struct spec_out {
  lat_array *array;
  lat_coords *coords;
  lat_tensor *tensor;
  lat_relation *relation;
  lat_neighbors *neighbors;
  lat_quantized_weight *packed;
  lat_quantization *quantization;
  lat_point_map *map;
  lat_cloud *cloud;
} spec_out;
extern spec_out out;

/// One row of the list: fails unless the call gave `expected`, its text holds `fragment` and exactly one handle of `out`
/// was cleared. Use: refused("4.2", lat_conv3d(…, &out.tensor), LAT_STATUS_INVALID_SHAPE, "weight input channels must match");
void refused(const char *section, lat_status got, int expected, const char *fragment);

/// Short names of the statuses.
enum {
  ARGUMENT = LAT_STATUS_INVALID_ARGUMENT,
  SHAPE = LAT_STATUS_INVALID_SHAPE,
  DTYPE = LAT_STATUS_INVALID_DTYPE,
  OVERFLOWS = LAT_STATUS_OVERFLOW,
  BAD_DATA = LAT_STATUS_BAD_DATA
};

/// Views of numbers whose values do not matter (zeros), any dtype.
lat_array_view some(lat_dtype dtype, int32_t rank, const int64_t *shape);
lat_array_view some_1d(lat_dtype dtype, int64_t n);
lat_array_view some_2d(lat_dtype dtype, int64_t rows, int64_t columns);

#endif
