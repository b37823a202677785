#include "ref/ref_algebra.h"

#include <string.h>

static int32_t find(const int32_t *rows, int64_t n, const int32_t *row) {
  for (int64_t r = 0; r < n; r++) {
    if (memcmp(rows + 4 * r, row, 4 * sizeof *row) == 0) return (int32_t)r;
  }
  return -1;
}

int64_t ref_align(ref_join join, const int32_t *lhs, int64_t n_lhs, const int32_t *rhs, int64_t n_rhs, int32_t *rows,
                  int32_t *lhs_rows, int32_t *rhs_rows) {
  int64_t n = 0;
  for (int64_t l = 0; join != REF_JOIN_RIGHT && l < n_lhs; l++) {
    int32_t r = find(rhs, n_rhs, lhs + 4 * l);
    if (join == REF_JOIN_INNER && r < 0) continue;
    memcpy(rows + 4 * n, lhs + 4 * l, 4 * sizeof *rows);
    lhs_rows[n] = (int32_t)l;
    rhs_rows[n++] = r;
  }
  for (int64_t r = 0; (join == REF_JOIN_RIGHT || join == REF_JOIN_OUTER) && r < n_rhs; r++) {
    int32_t l = find(lhs, n_lhs, rhs + 4 * r);
    if (join == REF_JOIN_OUTER && l >= 0) continue;
    memcpy(rows + 4 * n, rhs + 4 * r, 4 * sizeof *rows);
    lhs_rows[n] = l;
    rhs_rows[n++] = (int32_t)r;
  }
  return n;
}
