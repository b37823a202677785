/// Coordinate rows in lexicographic order as a three-level tree: the form in which relations, neighbour queries and
/// coarser sets are found by walking, without a hash.
///
///     slab   (batch, x)   owns a range of columns, ascending in (batch, x)
///     column y            owns a range of leaves, ascending in y within its slab
///     leaf   z            one distinct coordinate, ascending in z within its column
///
/// Every key is one int32 compared in its own level, so the full range of every axis is legal; a position reached by an
/// offset is an int64 that is compared with them and never wraps. Coordinates that span little enough have keys too, one
/// number for all four.
#ifndef LATTICE_BACKEND_CPU_CPU_ORDER_H
#define LATTICE_BACKEND_CPU_CPU_ORDER_H

#include <pthread.h>
#include <stdbool.h>

#include "backend/backend.h"

/// A coordinate in a key: bits [shift, shift + bits) hold coordinate - low, at most `range`.
typedef struct lat__key_field {
  int32_t low;
  uint32_t range;
  int shift, bits;
} lat__key_field;

struct lat__coord_order {
  lat_context *context; ///< retained: the memory is its
  int64_t n_rows;       ///< rows that were ordered
  int64_t n_leaves;
  int64_t n_slabs, n_columns;   ///< these and the levels down to z: after lat__cpu_order_need_tree
  int32_t *slab_batch, *slab_x; ///< n_slabs
  int32_t *slab_begin;          ///< n_slabs + 1: first column
  int32_t *column_y;            ///< n_columns
  int32_t *column_begin;        ///< n_columns + 1: first leaf
  int32_t *z;                   ///< n_leaves
  int32_t *row;                 ///< n_leaves: the first row with these coordinates
  int32_t *next_twin;           ///< n_rows: the next row with equal coordinates or -1; NULL when all rows are distinct
  uint64_t *key;                ///< n_leaves, ascending: the leaf's fields, or NULL where they do not fit one number
  lat__key_field fields[4];     ///< of batch, x, y and z in the keys
  pthread_mutex_t lock;         ///< while the tree is made
  bool has_tree;
};

/// An order without leaves.
LAT_CHECKED lat_status lat__cpu_order_new(lat_context *context, int64_t n_rows, lat__coord_order **out);

/// Makes the levels above the leaves unless they are there: relations with keys need none.
LAT_CHECKED lat_status lat__cpu_order_need_tree(const lat__coord_order *order);

/// First slab that is not below (batch, x).
int64_t lat__cpu_order_find_slab(const lat__coord_order *order, int32_t batch, int64_t x);

/// Sorts words stably by the bits [low_bit, low_bit + n_bits): radix sort, least significant digit first. `words` and
/// `scratch` have n entries; the result is in the array whose address is written to `*sorted`.
LAT_CHECKED lat_status lat__cpu_radix_sort(lat_context *context, uint64_t *words, uint64_t *scratch, int64_t n,
                                           int low_bit, int n_bits, uint64_t **sorted);

#endif
