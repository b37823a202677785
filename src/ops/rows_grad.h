/// Gradients of operations that take rows from here to there.
#ifndef LATTICE_OPS_ROWS_GRAD_H
#define LATTICE_OPS_ROWS_GRAD_H

#include "backend/backend.h"

/// For each of n_rows rows the ascending places that took it. Zero-initialise.
typedef struct lat__row_places {
  int64_t *offsets; ///< n_rows + 1; NULL: place r took row r
  int64_t *places;
} lat__row_places;

/// Turns `rows` around: which of the n places took each of n_rows rows (-1: none); `rows` NULL: place r took row r.
/// Release `out` whatever comes back.
LAT_CHECKED lat_status lat__row_places_take(lat_context *context, const char *op, const int32_t *rows, int64_t n,
                                            int64_t n_rows, lat__row_places *out);
void lat__row_places_release(lat_context *context, lat__row_places *places);

/// Copied rows, and the gradient of where they went.
typedef struct lat__rows_copy {
  const int32_t *rows; ///< (n,) row of the source that each row of the result is, -1: none; NULL: row r
  int64_t n, n_rows;   ///< rows of the result, of the source
  int64_t channels;
  lat_dtype dtype;                 ///< of the source
  const lat_array *grad;           ///< (n, grad_stride or more channels)
  int64_t grad_stride, grad_first; ///< elements of a row of grad, and where the copied channels begin in it
} lat__rows_copy;

/// `*out` = the gradient of the source, (n_rows, channels).
LAT_CHECKED lat_status lat__rows_copy_backward(lat_context *context, const char *op, const lat__rows_copy *copy,
                                               lat_array **out);

#endif
