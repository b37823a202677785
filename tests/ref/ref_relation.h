/// Naive kernel relations: binary search in a sorted copy of the rows, one query per (output row, kernel element).
///
/// Rows are (batch, x, y, z). An output coordinate o and the kernel offset d meet the input coordinate
/// i = o * stride + d - padding in the same batch; per axis d = (index - size / 2) * dilation for an odd size and
/// index * dilation for an even one. Of duplicated input rows the first is taken. Results come from malloc.
#ifndef LAT_REF_RELATION_H
#define LAT_REF_RELATION_H

#include <stdint.h>

/// Edges ordered by (out, kernel).
typedef struct ref_edges {
  int64_t n;
  int32_t *in;
  int32_t *out;
  int32_t *kernel;
} ref_edges;

/// Distinct rows in a form that can be searched.
typedef struct ref_dictionary ref_dictionary;

ref_dictionary *ref_dictionary_create(const int32_t *rows, int64_t n);
void ref_dictionary_free(ref_dictionary *dictionary);

/// First row equal to (batch, x, y, z), or -1. The components are int64 so that a query may lie outside int32.
int32_t ref_dictionary_find(const ref_dictionary *dictionary, int64_t batch, int64_t x, int64_t y, int64_t z);

ref_edges *ref_relation_edges(const int32_t *in, int64_t n_in, const int32_t *out, int64_t n_out, const int32_t size[3],
                              const int32_t stride[3], const int32_t padding[3], const int32_t dilation[3]);
void ref_edges_free(ref_edges *edges);

/// Distinct floor(in / stride) in first-seen order, written to `out` (room for n_in rows). Returns their number.
int64_t ref_floor_support(const int32_t *in, int64_t n_in, const int32_t stride[3], int32_t *out);

/// Distinct rows in first-seen order, written to `out` (room for n rows); inverse[r] (may be NULL) is the place of row r
/// in it. Returns their number.
int64_t ref_unique_rows(const int32_t *rows, int64_t n, int32_t *out, int32_t *inverse);

#endif
