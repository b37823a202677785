/// Small inputs for the out-of-memory bodies of operators: the same tensor of 120 rows in two batch items every time.
#ifndef LAT_TEST_OOM_INPUTS_H
#define LAT_TEST_OOM_INPUTS_H

#include <lattice/tensor.h>

#define LAT_TEST_OOM_ROWS 120
#define LAT_TEST_OOM_CHANNELS 32

/// A tensor of LAT_TEST_OOM_ROWS rows and LAT_TEST_OOM_CHANNELS channels of float32, float16 or bfloat16.
lat_status lat_test_oom_make_tensor(lat_context *context, lat_dtype dtype, lat_tensor **out);

/// A `(shape)` array of that dtype with values in [-1, 1).
lat_status lat_test_oom_make_array(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape,
                                   lat_array **out);

/// Ends a body: records the tensor of a success, asserts that a failure left NULL, releases it, hands the status on.
lat_status lat_test_oom_finish_tensor(lat_status status, lat_tensor *tensor);
lat_status lat_test_oom_finish_array(lat_status status, lat_array *array);

#endif
