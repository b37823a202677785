/// One good value for every argument of the public functions, for tests that spoil one argument at a time.
#ifndef LAT_TEST_GOOD_ARGUMENTS_H
#define LAT_TEST_GOOD_ARGUMENTS_H

#include <lattice/lattice.h>

#include "support/test_support.h"

#define GOOD_ROWS 4
#define GOOD_CHANNELS 2

typedef struct good_arguments {
  lat_context *context;
  int32_t rows[GOOD_ROWS * 4];
  float floats[256];
  double range[2];
  float buffer[GOOD_ROWS * GOOD_CHANNELS];
  char name[LAT_ALGORITHM_NAME_BYTES], cloud_path[64], image_path[64];
  lat_array_view coord_view, feat_view, position_view, value_view, image_view;
  lat_weight conv_weight, linear_weight;
  lat_voxel_grid grid;
  lat_radius_opts radius;
  lat_array *array;
  lat_coords *coords;
  lat_tensor *tensor;
  lat_relation *relation;
  lat_neighbors *neighbors;
  lat_quantized_weight *packed;
  lat_quantized_info info;
  int32_t symbols[GOOD_ROWS];
  lat_array_view symbol_view, cdf_view, range_view, rans_view;
  lat_array *cdf, *range_stream, *rans_stream;
  lat_quantization *quantization;
  lat_cloud *cloud;
} good_arguments;

/// The values, between set-up and tear-down.
extern good_arguments good;

/// Group fixtures of cmocka.
int good_arguments_set_up(void **state);
int good_arguments_tear_down(void **state);

#endif
