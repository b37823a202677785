/// Tensors for the tests of operators: made from plain arrays or from a seed, read back as doubles.
#ifndef LAT_TEST_TENSOR_CASES_H
#define LAT_TEST_TENSOR_CASES_H

#include <lattice/tensor.h>

/// A deterministic stream of random numbers; start it with any seed.
typedef struct lat_test_random {
  uint64_t seed, n;
} lat_test_random;

/// Uniform in [0, bound).
int64_t lat_test_below(lat_test_random *random, int64_t bound);

/// Uniform in [low, high).
double lat_test_uniform(lat_test_random *random, double low, double high);

/// A set of stride 1 from `n` rows of four.
lat_coords *lat_test_coords(lat_context *context, const int32_t *rows, int64_t n);

/// A tensor on `coords` with the given values, rounded to `dtype`. `opts` may be NULL.
lat_tensor *lat_test_tensor_on(lat_context *context, const lat_coords *coords, const double *values, int64_t channels,
                               lat_dtype dtype, const lat_tensor_opts *opts);

/// As lat_test_tensor_on with a set of its own.
lat_tensor *lat_test_tensor(lat_context *context, const int32_t *rows, int64_t n, const double *values,
                            int64_t channels, lat_dtype dtype, const lat_tensor_opts *opts);

/// n random rows with batch in [0, n_batches) and x, y, z in [-extent, extent]; distinct unless `duplicates`. From malloc.
int32_t *lat_test_random_rows(lat_test_random *random, int64_t n, int64_t n_batches, int64_t extent, int duplicates);

/// n random values in [low, high). From malloc.
double *lat_test_random_values(lat_test_random *random, int64_t n, double low, double high);

/// The elements of a float view as doubles. From malloc.
double *lat_test_read(lat_array_view view);
double *lat_test_read_feats(const lat_tensor *tensor);

/// Fails unless `got` holds exactly `n` values equal to `expected` (NaN equals NaN; zeros of either sign are equal).
void lat_test_assert_values(lat_array_view got, const double *expected, int64_t n);

/// Fails unless both views have the same shape, dtype and bytes.
void lat_test_assert_same_view(lat_array_view a, lat_array_view b);

#endif
