/// Naive transposed relations: every (input row, kernel element) in turn, searched among all outputs so far.
///
/// An input i and the tap (a, b, c), each counted from 0, meet the output o = i * stride + tap * dilation - padding.
#ifndef LAT_REF_TRANSPOSED_H
#define LAT_REF_TRANSPOSED_H

#include <stdbool.h>

#include "ref/ref_relation.h"

typedef struct ref_transposed_geometry {
  int32_t size[3], stride[3], padding[3], dilation[3];
} ref_transposed_geometry;

/// Output rows (malloc, (n_out, 4)) and edges ordered by (out, kernel, in). `merges` joins equal outputs.
ref_edges *ref_transposed_edges(const int32_t *in, int64_t n_in, const ref_transposed_geometry *geometry, bool merges,
                                int32_t **out, int64_t *n_out);

/// Edges onto given rows: of duplicated input rows the first is taken.
ref_edges *ref_target_transposed_edges(const int32_t *in, int64_t n_in, const int32_t *targets, int64_t n_targets,
                                       const ref_transposed_geometry *geometry);

#endif
