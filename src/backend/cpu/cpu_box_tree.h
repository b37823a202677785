/// Distinct coordinates of one batch item after the other in a tree of boxes: what the nearest neighbours are searched in.
///
/// A box is halved at the middle of its longest side, so that at most 3 * 32 halvings reach single coordinates, however
/// the rows are spread. Nodes lie in depth-first order: the lower half of node n is n + 1.
#ifndef LATTICE_BACKEND_CPU_CPU_BOX_TREE_H
#define LATTICE_BACKEND_CPU_CPU_BOX_TREE_H

#include "backend/cpu/cpu_order.h"

/// Deepest possible chain of nodes.
#define LAT__BOX_TREE_DEPTH 97

typedef struct lat__box_node {
  int32_t low[3], high[3]; ///< tight, both ends included
  int32_t begin, end;      ///< leaves
  int64_t upper;           ///< node of the upper half; 0: this node is not halved
} lat__box_node;

typedef struct lat__box_leaf {
  int32_t at[3]; ///< x, y, z
  int32_t row;   ///< first row with these coordinates
} lat__box_leaf;

typedef struct lat__box_item {
  int32_t batch;
  int64_t root;   ///< node
  int64_t n_rows; ///< duplicates included
} lat__box_item;

typedef struct lat__box_tree {
  int64_t n_items;
  lat__box_item *items; ///< ascending in batch
  lat__box_node *nodes;
  lat__box_leaf *leaves;
  const int32_t *next_twin; ///< as in lat__coord_order, which it is borrowed from
} lat__box_tree;

/// Builds the tree of the rows of `order`. On failure `out` is empty.
LAT_CHECKED lat_status lat__box_tree_create(lat_context *context, const char *op, const lat__coord_order *order,
                                            lat__box_tree *out);
void lat__box_tree_free(lat_context *context, lat__box_tree *tree);

/// The item of a batch, or NULL when no row has it.
const lat__box_item *lat__box_tree_find(const lat__box_tree *tree, int32_t batch);

#endif
