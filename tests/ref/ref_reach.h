/// Naive reach support: every output that some input meets under some kernel element, one candidate after the other.
///
/// Taps count from 0 for every size: an output o meets the inputs o * stride - padding + (a, b, c) * dilation.
#ifndef LAT_REF_REACH_H
#define LAT_REF_REACH_H

#include "ref/ref_relation.h"

typedef struct ref_reach {
  int32_t size[3], stride[3], padding[3], dilation[3];
  int32_t bounds[3]; ///< extent of the input box from 0; all zero: none
} ref_reach;

/// Distinct outputs (malloc, (n, 4)), first-seen over (input row, kernel element). Returns their number, or -1 (and no
/// rows) when one of them leaves int32. With bounds an output stays when its whole window lies in the padded box.
int64_t ref_reach_support(const int32_t *in, int64_t n_in, const ref_reach *geometry, int32_t **out);

/// Edges onto given rows, ordered by (out, kernel).
ref_edges *ref_reach_edges(const int32_t *in, int64_t n_in, const int32_t *out, int64_t n_out,
                           const ref_reach *geometry);

#endif
