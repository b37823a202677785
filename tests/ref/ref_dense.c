// Naive dense arrays.
#include "ref/ref_dense.h"

#include <string.h>

int64_t ref_dense_size(const ref_box *box) {
  return box->items * box->extent[0] * box->extent[1] * box->extent[2] * box->channels;
}

int64_t ref_dense_index(const ref_box *box, const int32_t *row, int64_t c) {
  int64_t i = row[1] - box->first[0], j = row[2] - box->first[1], k = row[3] - box->first[2], b = row[0];
  int64_t X = box->extent[0], Y = box->extent[1], Z = box->extent[2], C = box->channels;
  if (b < 0 || b >= box->items || i < 0 || i >= X || j < 0 || j >= Y || k < 0 || k >= Z) return -1;
  switch (box->fold + 4 * box->channels_first) {
  case 0:
    return (((b * X + i) * Y + j) * Z + k) * C + c;
  case 1:
    return ((b * Y + j) * Z + k) * (C * X) + c * X + i;
  case 2:
    return ((b * X + i) * Z + k) * (C * Y) + c * Y + j;
  case 3:
    return ((b * X + i) * Y + j) * (C * Z) + c * Z + k;
  case 4:
    return (((b * C + c) * X + i) * Y + j) * Z + k;
  case 5:
    return ((b * (C * X) + c * X + i) * Y + j) * Z + k;
  case 6:
    return ((b * (C * Y) + c * Y + j) * X + i) * Z + k;
  default:
    return ((b * (C * Z) + c * Z + k) * X + i) * Y + j;
  }
}

void ref_to_dense(const ref_box *box, const int32_t *rows, int64_t n, const double *x, double *y) {
  memset(y, 0, (size_t)ref_dense_size(box) * sizeof *y);
  for (int64_t e = 0; e < n * box->channels; e++) {
    int64_t index = ref_dense_index(box, rows + 4 * (e / box->channels), e % box->channels);
    if (index >= 0) y[index] = x[e];
  }
}

void ref_read_dense(const ref_box *box, const int32_t *rows, int64_t n, const double *dense, double *x) {
  for (int64_t e = 0; e < n * box->channels; e++) {
    int64_t index = ref_dense_index(box, rows + 4 * (e / box->channels), e % box->channels);
    x[e] = index >= 0 ? dense[index] : 0.0;
  }
}

int64_t ref_dense_cells(const ref_box *box, const double *dense, const uint8_t *mask, int32_t *rows) {
  int64_t n = 0, cell = 0;
  for (int64_t b = 0; b < box->items; b++) {
    for (int64_t i = 0; i < box->extent[0]; i++) {
      for (int64_t j = 0; j < box->extent[1]; j++) {
        for (int64_t k = 0; k < box->extent[2]; k++, cell++) {
          int32_t *row = rows + 4 * n;
          int chosen = mask != NULL && mask[cell] != 0;
          row[0] = (int32_t)b;
          row[1] = (int32_t)(i + box->first[0]);
          row[2] = (int32_t)(j + box->first[1]);
          row[3] = (int32_t)(k + box->first[2]);
          for (int64_t c = 0; mask == NULL && c < box->channels; c++) {
            if (dense[ref_dense_index(box, row, c)] != 0.0) chosen = 1;
          }
          n += chosen;
        }
      }
    }
  }
  return n;
}
