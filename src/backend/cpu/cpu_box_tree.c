// The tree of boxes that nearest neighbours are searched in (cpu_box_tree.h).

#include "backend/cpu/cpu_box_tree.h"

#include <string.h>

#include "core/alloc.h"
#include "core/compiler.h"

#define LEAF_ROWS 8 ///< a node with at most so many leaves is not halved

/// A node whose leaves have still to be looked at.
typedef struct pending {
  int32_t begin, end;
  int64_t parent; ///< node whose upper half this is, or -1
} pending;

static void copy_leaves(const lat__coord_order *order, lat__box_leaf *leaves) {
  for (int64_t slab = 0; slab < order->n_slabs; slab++) {
    for (int64_t column = order->slab_begin[slab]; column < order->slab_begin[slab + 1]; column++) {
      for (int64_t leaf = order->column_begin[column]; leaf < order->column_begin[column + 1]; leaf++) {
        leaves[leaf] =
            (lat__box_leaf){{order->slab_x[slab], order->column_y[column], order->z[leaf]}, order->row[leaf]};
      }
    }
  }
}

static void fit_box(const lat__box_leaf *leaves, lat__box_node *node) {
  for (int axis = 0; axis < 3; axis++) node->low[axis] = node->high[axis] = leaves[node->begin].at[axis];
  for (int64_t leaf = node->begin + 1; leaf < node->end; leaf++) {
    for (int axis = 0; axis < 3; axis++) {
      int32_t value = leaves[leaf].at[axis];
      node->low[axis] = value < node->low[axis] ? value : node->low[axis];
      node->high[axis] = value > node->high[axis] ? value : node->high[axis];
    }
  }
}

/// Exchanges leaves so that those below the middle of the longest side come first; returns where the others begin. Both
/// halves have leaves, because the box is tight and its longest side has two ends.
static int32_t halve(lat__box_leaf *leaves, const lat__box_node *node) {
  int axis = 0;
  int64_t longest = -1;
  for (int a = 0; a < 3; a++) {
    int64_t side = (int64_t)node->high[a] - node->low[a];
    if (side > longest) {
      longest = side;
      axis = a;
    }
  }
  int64_t middle = node->low[axis] + (longest + 1) / 2; // low < middle <= high
  int32_t from = node->begin, to = node->end;
  while (from < to) {
    if (leaves[from].at[axis] < middle) {
      from++;
      continue;
    }
    lat__box_leaf other = leaves[--to];
    leaves[to] = leaves[from];
    leaves[from] = other;
  }
  return from;
}

/// Builds the nodes of leaves [begin, end), at least one; returns their number. Lower halves follow at once, upper halves
/// wait on a stack that the number of halvings bounds.
static int64_t build_item(lat__box_tree *tree, int64_t n_nodes, int32_t begin, int32_t end) {
  pending stack[LAT__BOX_TREE_DEPTH];
  int n_pending = 0;
  stack[n_pending++] = (pending){begin, end, -1};
  while (n_pending > 0) {
    pending next = stack[--n_pending];
    if (next.parent >= 0) tree->nodes[next.parent].upper = n_nodes;
    for (;;) { // down the lower halves
      int64_t self = n_nodes++;
      lat__box_node *node = &tree->nodes[self];
      *node = (lat__box_node){.begin = next.begin, .end = next.end};
      fit_box(tree->leaves, node);
      if (node->end - node->begin <= LEAF_ROWS) break;
      int32_t middle = halve(tree->leaves, node);
      stack[n_pending++] = (pending){middle, node->end, self};
      next.end = middle;
    }
  }
  return n_nodes;
}

static int64_t count_items(const lat__coord_order *order) {
  int64_t n = order->n_slabs > 0;
  for (int64_t slab = 1; slab < order->n_slabs; slab++) n += order->slab_batch[slab] != order->slab_batch[slab - 1];
  return n;
}

static int64_t count_rows(const lat__coord_order *order, int64_t begin, int64_t end) {
  int64_t n = end - begin;
  for (int64_t leaf = begin; order->next_twin && leaf < end; leaf++) {
    for (int32_t row = order->next_twin[order->row[leaf]]; row >= 0; row = order->next_twin[row]) n++;
  }
  return n;
}

static void build_items(const lat__coord_order *order, lat__box_tree *tree) {
  int64_t n_nodes = 0;
  for (int64_t slab = 0; slab < order->n_slabs; tree->n_items++) {
    int32_t batch = order->slab_batch[slab], begin = order->column_begin[order->slab_begin[slab]];
    while (slab < order->n_slabs && order->slab_batch[slab] == batch) slab++;
    int32_t end = order->column_begin[order->slab_begin[slab]];
    tree->items[tree->n_items] = (lat__box_item){batch, n_nodes, count_rows(order, begin, end)};
    n_nodes = build_item(tree, n_nodes, begin, end);
  }
}

lat_status lat__box_tree_create(lat_context *context, const char *op, const lat__coord_order *order,
                                lat__box_tree *out) {
  lat_status status = LAT_STATUS_OK;
  void *items = NULL, *nodes = NULL, *leaves = NULL;
  memset(out, 0, sizeof *out);
  LAT_TRY(lat__cpu_order_need_tree(order), done);
  LAT_TRY(lat__alloc_items(context, op, count_items(order), sizeof(lat__box_item), &items), done);
  // Every node that is halved has two halves: fewer than two nodes for each leaf.
  LAT_TRY(lat__alloc_items(context, op, 2 * order->n_leaves, sizeof(lat__box_node), &nodes), done);
  LAT_TRY(lat__alloc_items(context, op, order->n_leaves, sizeof(lat__box_leaf), &leaves), done);
  *out = (lat__box_tree){.items = items, .nodes = nodes, .leaves = leaves, .next_twin = order->next_twin};
  items = nodes = leaves = NULL;
  copy_leaves(order, out->leaves);
  build_items(order, out);
done:
  lat__free(context, items);
  lat__free(context, nodes);
  lat__free(context, leaves);
  return status;
}

void lat__box_tree_free(lat_context *context, lat__box_tree *tree) {
  lat__free(context, tree->items);
  lat__free(context, tree->nodes);
  lat__free(context, tree->leaves);
}

const lat__box_item *lat__box_tree_find(const lat__box_tree *tree, int32_t batch) {
  int64_t low = 0, high = tree->n_items;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (tree->items[middle].batch < batch) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < tree->n_items && tree->items[low].batch == batch ? &tree->items[low] : NULL;
}
