/// Naive dense arrays: every element is found by its own index, counted axis by axis; values in double.
#ifndef LAT_REF_DENSE_H
#define LAT_REF_DENSE_H

#include <stdint.h>

typedef struct ref_box {
  int64_t items, extent[3], first[3], channels;
  int channels_first;
  int fold; ///< 0: none, 1 to 3: x, y, z
} ref_box;

/// Elements of the dense array.
int64_t ref_dense_size(const ref_box *box);

/// Element of channel c of the cell of a coordinate row (batch, x, y, z), or -1 outside of the box.
int64_t ref_dense_index(const ref_box *box, const int32_t *row, int64_t c);

/// y = the rows at their cells, zero elsewhere; rows outside are left out.
void ref_to_dense(const ref_box *box, const int32_t *rows, int64_t n, const double *x, double *y);

/// x = the dense array read at the rows, zero outside.
void ref_read_dense(const ref_box *box, const int32_t *rows, int64_t n, const double *dense, double *x);

/// Rows of the cells that `mask` marks (NULL: that have a channel that is not zero), by (b, x, y, z); their number.
int64_t ref_dense_cells(const ref_box *box, const double *dense, const uint8_t *mask, int32_t *rows);

#endif
