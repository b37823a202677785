/// What an operator asks of a device: plain pointers, counts and dtypes. No coordinate sets, relations or tensors here.
///
/// Features are row-major `(rows, channels)`, contiguous, float32, float16 or bfloat16. Descriptors borrow everything.
#ifndef LATTICE_BACKEND_DESC_H
#define LATTICE_BACKEND_DESC_H

#include <stdbool.h>

#include <lattice/array.h>

#include "backend/desc_epilogue.h"
#include "backend/desc_feature.h"
#include "backend/desc_grad.h"
#include "backend/desc_points.h"

/// Output rows that one block of pair lists covers; local row numbers fit uint16.
#define LAT__PAIR_BLOCK_ROWS 512

/// A relation as kernels read it: for every block of LAT__PAIR_BLOCK_ROWS output rows and every kernel element the list
/// of (input row, output row within the block).
///
///     list of (block b, kernel k):  offsets[b * n_kernels + k] .. offsets[b * n_kernels + k + 1]
///
/// Rows are dealt to blocks in an order of the builder's, `out_rows`: neighbours in space, wherever their rows lie, so that
/// lists are built without scattering and a block's inputs stay in the caches.
///
/// Unless `repeats` says otherwise a list names an output row at most once (an output and a kernel element determine the
/// input); the order within a list is the builder's. Where rows are duplicated, a transposed or exchanged list may name an
/// output row several times, its inputs ascending.
typedef struct lat__pairs {
  int64_t n_in;
  int64_t n_out;
  int64_t n_edges;
  int64_t n_blocks; ///< ceil(n_out / LAT__PAIR_BLOCK_ROWS)
  int32_t n_kernels;
  int64_t *offsets;     ///< n_blocks * n_kernels + 1
  int32_t *in_rows;     ///< n_edges
  uint16_t *local_rows; ///< n_edges: place of the output row in its block
  int32_t *out_rows; ///< n_out: the output row at place p is out_rows[p], that of block b from b * LAT__PAIR_BLOCK_ROWS
                     ///< on; NULL: row p
  bool repeats;      ///< some list names an output row more than once
  bool mirrored;     ///< inputs are outputs, and list (b, K - 1 - k) is list (b, k) with the ends exchanged
} lat__pairs;

/// The output row at a place.
static inline int64_t lat__pairs_out_row(const lat__pairs *pairs, int64_t place) {
  return pairs->out_rows ? pairs->out_rows[place] : place;
}

/// Coordinate rows sorted by a device for its own use: made and read through slots of backend.h.
typedef struct lat__coord_order lat__coord_order;

/// Geometry and sets of a kernel relation to build: pairs (i, o, k) with i = o * stride + offset_k - padding. Per axis the
/// offset of element j is (j - size / 2) * dilation for an odd size, j * dilation for an even one and with taps from zero.
typedef struct lat__relation_desc {
  const lat__coord_order *in_order; ///< of the n_in input rows
  int64_t n_in;
  const lat__coord_order *out_order; ///< of the n_out output rows; the same pointer when they are the input rows
  int64_t n_out;
  lat_triple kernel_size, stride, padding, dilation;
  int32_t n_kernels;
  bool taps_from_zero;
} lat__relation_desc;

/// Outputs that a kernel with taps from zero reaches: every o with an input o * stride - padding + tap * dilation.
typedef struct lat__reach_desc {
  const lat__coord_order *in_order; ///< of the n_in input rows
  int64_t n_in;
  lat_triple kernel_size, stride, padding, dilation;
  bool bounded; ///< keep outputs within 0 .. last only; a negative `last` keeps none
  lat_triple last;
} lat__reach_desc;

/// Transposed geometry: pairs (i, o, k) with o = i * stride + tap_k * dilation - padding, taps from 0 on every axis.
typedef struct lat__transposed_desc {
  const int32_t *in_rows; ///< (n_in, 4)
  int64_t n_in;
  lat_triple kernel_size, stride, padding, dilation;
  int32_t n_kernels;
  bool keeps_every_row; ///< output row i * n_kernels + k for every pair; else distinct rows, first-seen
} lat__transposed_desc;

/// Where a weight lies in memory.
typedef enum lat__weight_form {
  LAT__WEIGHT_OUT_KERNEL_IN = 0, ///< (C_out, K, C_in): dense 5-D and linear
  LAT__WEIGHT_KERNEL_IN_OUT = 1, ///< (K, C_in, C_out)
  LAT__WEIGHT_PACKED = 2         ///< quant.h storage
} lat__weight_form;

/// A weight of a convolution or a linear layer.
typedef struct lat__weight_desc {
  lat__weight_form form;
  lat_dtype dtype;       ///< of `data`, or of scales and biases
  const void *data;      ///< dense elements
  int32_t bits;          ///< packed: 4 or 8
  int32_t group_size;    ///< packed
  int64_t storage_in;    ///< packed: C_in rounded up to whole groups
  const uint32_t *words; ///< packed
  const void *scales;    ///< packed
  const void *biases;    ///< packed
  bool transposed;       ///< the forward's weight read the other way: its C_in is this call's c_out and the reverse
} lat__weight_desc;

typedef struct lat__conv_norm_tangent lat__conv_norm_tangent;

/// Most input channels of quantized features: the products of 8-bit codes of so many fit 32 bits.
#define LAT__MOST_CODED_CHANNELS (1 << 17)

/// Y = relation sum of X W, then + bias, then one rounding.
typedef struct lat__conv_desc {
  const lat__pairs *pairs; ///< NULL: row i meets row i under the only kernel element
  int64_t n_in, n_out, c_in, c_out;
  int64_t groups; ///< runs of channels that do not mix; the weight has c_in / groups input channels; 0: 1
  int32_t n_kernels;
  lat_dtype dtype, dtype_out; ///< of x, of y
  const void *x;              ///< (n_in, c_in)
  lat__weight_desc weight;
  bool quantizes_x; ///< one group: rows of x become 8-bit codes, and so does a dense weight; products are integers
  float norm_eps;   ///< above 0: the sum is divided by sqrt(sum of the squares of the weights it met + norm_eps)
  const lat__conv_norm_tangent *norm_tangent; ///< with norm_eps: a forward-mode product, else NULL
  const float *bias;                          ///< (c_out,) as it is to be added, or NULL
  const lat__epilogue_desc *epilogue;         ///< or NULL. Not with norm_tangent, nor are the next three
  const void *residual;                       ///< (n_out, c_out) of dtype_out, when the epilogue adds one
  const lat__conv_packed *packed;             ///< what conv_pack made of this desc (`weight` is not read then), or NULL
  void *workspace; ///< conv_workspace's bytes, or NULL: the call allocates. With `packed` only
  void *y;         ///< (n_out, c_out)
} lat__conv_desc;

/// What turns the tangent of a normalized convolution's sums, which the descriptor's x and weight give, into the tangent
/// of the result.
struct lat__conv_norm_tangent {
  const lat__conv_desc *forward; ///< x and weight of the forward call
  const void *weight_tangent;    ///< in the form and dtype of its weight, or NULL: zero
};

/// For Y = S / sqrt(D + norm_eps), S the sums and D the squares of a normalized convolution, and the gradient G of Y: the
/// gradient of S, and minus twice the gradient of D.
typedef struct lat__conv_norm_grad_desc {
  const lat__conv_desc *forward; ///< bias and y do not count
  lat_dtype dtype_grad;
  const void *grad; ///< G, (n_out, c_out)
  float *scaled;    ///< G / sqrt(D + norm_eps)
  float *pull;      ///< scaled * S / (D + norm_eps), or NULL
} lat__conv_norm_grad_desc;

/// Gradients of a convolution's weight and bias; each wanted one is not NULL.
typedef struct lat__conv_grad_desc {
  const lat__pairs *pairs; ///< of the forward call; NULL: row i meets row i under the only kernel element
  int64_t n_in, n_out, c_in, c_out;
  int64_t groups; ///< as in lat__conv_desc
  int32_t n_kernels;
  lat_dtype dtype, dtype_grad; ///< of x, of grad
  const void *x;               ///< (n_in, c_in)
  const void *grad;            ///< (n_out, c_out)
  lat__weight_form form;       ///< of `weight`; a dense one
  lat_dtype dtype_weight;
  void *weight;
  const float *pull; ///< not NULL (n_out, c_out): every weight loses itself times the sum of these over its edges
  const void *weight_value; ///< with pull: the weight, as `weight` lies
  void *bias;               ///< (c_out,) of dtype_grad
} lat__conv_grad_desc;

/// Local pool.
typedef struct lat__pool_desc {
  const lat__pairs *pairs;
  int64_t n_in, n_out, channels;
  lat_dtype dtype;
  int mode; ///< lat_pool_mode
  const float
      *kernel_weights; ///< (n_kernels,) factor of every pair, or NULL: ones. With them the average divides by the
                       ///< sum of the weights that are there. Not for the maximum
  const void *x;       ///< (n_in, channels)
  void *y;             ///< (n_out, channels)
} lat__pool_desc;

/// What a local pool's gradient and forward-mode product need besides its own descriptor's pairs, channels and mode.
typedef struct lat__pool_grad_desc {
  const lat__pairs *pairs;
  const lat__pairs *by_input; ///< the same pairs seen from the inputs; gradient only
  int64_t n_in, n_out, channels;
  lat_dtype dtype;             ///< of x, tangent and result
  int mode;                    ///< lat_pool_mode
  const float *kernel_weights; ///< as in lat__pool_desc
  const void *x;               ///< (n_in, channels); maximum only
  const void *tangent;         ///< gradient: of y, (n_out, channels); product: of x, (n_in, channels)
  void *result;                ///< gradient: of x, (n_in, channels); product: of y, (n_out, channels)
} lat__pool_grad_desc;

/// Per-item reduction of rows.
typedef struct lat__global_pool_desc {
  int64_t n_rows, n_items, channels;
  lat_dtype dtype;
  int mode;                    ///< lat_pool_mode
  const int64_t *item_offsets; ///< n_items + 1
  const int32_t *item_rows;    ///< rows of the items, ascending within one; NULL: entry r is row r
  const void *x;
  void *y; ///< (n_items, channels)
} lat__global_pool_desc;

/// Element-wise functions.
typedef enum lat__unary {
  LAT__UNARY_CAST = 0,
  LAT__UNARY_ROUND = 1 ///< to the nearest integer, ties to even
} lat__unary;

typedef struct lat__unary_desc {
  lat__unary kind;
  int64_t count;
  lat_dtype dtype_in, dtype_out;
  const void *x;
  void *y;
} lat__unary_desc;

/// Per-channel mean and population variance over all rows.
typedef struct lat__channel_stats_desc {
  int64_t n_rows, channels;
  lat_dtype dtype;
  const void *x;
  float *mean; ///< (channels,)
  float *var;  ///< (channels,)
} lat__channel_stats_desc;

/// Norms; parameters in float32.
typedef enum lat__norm { LAT__NORM_BATCH = 0, LAT__NORM_LAYER = 1, LAT__NORM_RMS = 2 } lat__norm;

typedef struct lat__norm_desc {
  lat__norm kind;
  int64_t n_rows, channels;
  lat_dtype dtype_in, dtype_out;
  float eps;
  const float *mean, *var;    ///< batch only
  const float *weight, *bias; ///< or NULL
  const void *x;
  void *y;
} lat__norm_desc;

/// Element-wise operations of two operands, numbered as lat_binary.
typedef enum lat__binary {
  LAT__BINARY_ADD = 0,
  LAT__BINARY_SUB = 1,
  LAT__BINARY_MUL = 2,
  LAT__BINARY_MAXIMUM = 3,
  LAT__BINARY_MINIMUM = 4
} lat__binary;

/// y[r] = operation on, or concatenation of, rows of two operands; a row number of -1 stands for a row of its side's fill,
/// exactly.
typedef struct lat__join_desc {
  int64_t n_rows;
  int64_t lhs_channels, rhs_channels;
  lat_dtype lhs_dtype, rhs_dtype, dtype_out;
  lat__binary op;           ///< binary only
  float lhs_fill, rhs_fill; ///< binary only; concatenation fills with zeros
  const int32_t *lhs_rows;  ///< (n_rows,); NULL: row r
  const int32_t *rhs_rows;  ///< (n_rows,); NULL: row r
  const void *lhs, *rhs;
  void *y; ///< binary: (n_rows, channels); concatenation: (n_rows, lhs + rhs channels)
} lat__join_desc;

/// y[r] = x[rows[r]], copied.
typedef struct lat__gather_desc {
  int64_t n_rows; ///< of y
  int64_t row_bytes;
  const int32_t *rows; ///< -1 gives a zero row
  const void *x;
  void *y;
} lat__gather_desc;

/// Closed-ball neighbours of query coordinates; a duplicated source is seen once, by its first row.
typedef struct lat__radius_desc {
  const lat__coord_order *source_order;
  const int32_t *query_rows; ///< (n_queries, 4)
  int64_t n_queries;
  double radius;
  int64_t max_neighbors; ///< 0: all
} lat__radius_desc;

/// The k nearest source rows of query coordinates, duplicates included.
typedef struct lat__knn_desc {
  const lat__coord_order *source_order;
  const int32_t *query_rows; ///< (n_queries, 4)
  int64_t n_queries;
  int64_t k; ///< 1 or more
} lat__knn_desc;

/// Result of a neighbour query; every array comes from lat__alloc and belongs to the caller.
typedef struct lat__neighbor_edges {
  int64_t n_edges;
  int64_t *row_offsets; ///< n_queries + 1
  int32_t *query_rows;  ///< n_edges, as the following
  int32_t *source_rows;
  int32_t *neighbor_ids;
  float *squared_distances;
} lat__neighbor_edges;

#endif
