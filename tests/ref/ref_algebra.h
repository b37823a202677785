/// Joins of two lists of coordinate rows, by comparing every row with every row.
#ifndef LAT_REF_ALGEBRA_H
#define LAT_REF_ALGEBRA_H

#include <stdint.h>

/// Values as in the public enumeration.
typedef enum ref_join { REF_JOIN_INNER = 1, REF_JOIN_LEFT = 2, REF_JOIN_RIGHT = 3, REF_JOIN_OUTER = 4 } ref_join;

/// Writes the rows of the join (room for n_lhs + n_rhs), and for each which row of either side it is, or -1. A row meets
/// the first equal row of the other side. Returns the number of rows.
int64_t ref_align(ref_join join, const int32_t *lhs, int64_t n_lhs, const int32_t *rhs, int64_t n_rhs, int32_t *rows,
                  int32_t *lhs_rows, int32_t *rhs_rows);

#endif
