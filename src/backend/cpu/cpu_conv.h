/// Convolution on the CPU: what its source files share.
#ifndef LATTICE_BACKEND_CPU_CPU_CONV_H
#define LATTICE_BACKEND_CPU_CPU_CONV_H

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel/cpu_kernels.h"
#include "backend/cpu/kernel/cpu_products.h"

/// How weights and sums lie: each group has its own columns, rounded up to whole vectors.
typedef struct lat__cpu_conv_shape {
  int64_t groups;
  int64_t depth;         ///< input channels of a group
  int64_t width;         ///< output channels of a group
  int64_t group_columns; ///< width rounded up to vectors
  int64_t columns;       ///< of all groups
  int64_t kernel_floats; ///< of one kernel element's weights: depth * columns
} lat__cpu_conv_shape;

LAT_CHECKED lat_status lat__cpu_conv_shape_of(const lat__conv_desc *desc, const lat__cpu_kernels *kernels,
                                              lat__cpu_conv_shape *out);

/// The weight of `desc` as gather_gemm_f32 reads it (`panel_vectors` is the table's tile_vectors), or row_gemm_f32
/// (row_vectors): for every kernel element and group its panels (see lat__gather_gemm_args), float32, columns past a group's output channels zero. `*out` comes from lat__alloc and belongs to the caller.
LAT_CHECKED lat_status lat__cpu_conv_pack(lat_context *context, const lat__conv_desc *desc,
                                          const lat__cpu_kernels *kernels, int64_t panel_vectors, float **out);

/// `*out` = for every kernel element and output channel the sum over ci of weight times `other` (in the weight's form and
/// dtype), (n_kernels, c_out): from lat__alloc, it belongs to the caller.
LAT_CHECKED lat_status lat__cpu_conv_products(lat_context *context, const lat__conv_desc *desc, const void *other,
                                              float **out);

/// A convolution with a `norm_tangent`.
LAT_CHECKED lat_status lat__cpu_conv_normalized_jvp(lat_context *context, const lat__conv_desc *desc);

/// What a convolution prepares once. It keeps the kernels that it was made for: panels differ between the levels.
struct lat__conv_packed {
  const lat__cpu_kernels *kernels;
  const lat__cpu_products *products; ///< what the machine has beyond `kernels`, or NULL
  lat__cpu_conv_shape shape;
  void *codes;           ///< quantized x: panels of dot_gemm_i8, or without it dot_gemm_i16, in place of `panels`
  float *code_scales;    ///< packed weights: (n_kernels, 2, code_groups, columns): scales, then biases; else NULL
  float *column_scales;  ///< dense weights: (columns,): what sums are multiplied by; else NULL
  int64_t code_groups;   ///< groups of input channels that share scale and bias
  int64_t code_channels; ///< c_in rounded up to code_step
  int64_t code_group_size;
  int64_t code_row_bytes; ///< of a row of x: codes, scale, sums
  int64_t code_step;      ///< channels that an instruction takes together: 4, codes of a byte; or 2, codes of two
  uint16_t *bf16;         ///< panels of gather_gemm_bf16 for every kernel element and group, in place of `panels`
  bool by_rows;           ///< row_gemm_f32 runs, not gather_gemm_f32
  bool depthwise;         ///< one input channel for each output channel: panels are plain rows of weights
  int64_t columns;        ///< of a row of sums
  float *panels;          ///< lat__cpu_conv_pack, or rows of weights
  int64_t square_columns; ///< c_out rounded up to vectors
  float *squares;         ///< normalized: panels one row deep of the sums over ci of W[k, ci, co]^2; else NULL
  int64_t bytes;          ///< of both
};

/// Fills `packed` for `desc`; close it whatever comes back.
LAT_CHECKED lat_status lat__cpu_conv_packed_open(lat_context *context, const lat__conv_desc *desc,
                                                 lat__conv_packed *packed);
void lat__cpu_conv_packed_close(lat_context *context, lat__conv_packed *packed);

#define LAT__CPU_CONV_ROW_BEGINS (LAT__PAIR_BLOCK_ROWS + 1)
/// Edges that are widened together, or those of one row where they are more.
#define LAT__CPU_CONV_ROW_EDGES 512

/// One call: how its work is cut, and what each worker has for itself (offsets into its floats, -1: nothing).
typedef struct lat__cpu_conv_job {
  const lat__conv_desc *desc;
  const lat__conv_packed *packed;
  int64_t n_blocks, grain, n_workers;
  int64_t pass_rows;     ///< pairs that one kernel call takes
  int64_t tile_rows;     ///< rows that the epilogue takes at a time
  int64_t sums_at;       ///< (block rows, columns); -1: y holds the sums
  int64_t squares_at;    ///< normalized: (block rows, square_columns)
  int64_t widened_at;    ///< (pass_rows, c_in) inputs in float32
  int64_t tiles_at;      ///< two tiles of (tile_rows, c_out)
  int64_t dealt_at;      ///< where output rows lie apart: tiles of y and of the residual, (tile_rows, c_out) each
  int64_t edges_at;      ///< by rows: (2, most_edges) and LAT__CPU_CONV_ROW_BEGINS int32: the edges of a block by row
  int64_t most_edges;    ///< by rows: of a block
  int64_t worker_floats; ///< of one worker
  float *scratch;        ///< (n_workers, worker_floats)
  int64_t shared_floats; ///< in front of it
  char *x_codes;         ///< quantized x: rows of code_row_bytes in the shared floats
} lat__cpu_conv_job;

/// Whether few input channels make row_gemm_f32 the better kernel.
bool lat__cpu_conv_rows_fit(const lat__conv_desc *desc);
/// Most edges of a block.
int64_t lat__cpu_conv_rows_most_edges(const lat__conv_desc *desc);
/// Sums of a block by rows.
void lat__cpu_conv_rows_block(const lat__cpu_conv_job *job, int64_t block, int64_t n_rows, int worker, float *sums);

/// Whether `desc` runs on gather_gemm_bf16: features and weights are bfloat16, an even number of channels, and the
/// machine has the kernel.
bool lat__cpu_conv_bf16_fits(const lat__conv_desc *desc, const lat__cpu_products *products);
/// Panels for it.
LAT_CHECKED lat_status lat__cpu_conv_pack_bf16(lat_context *context, const lat__conv_desc *desc,
                                               lat__conv_packed *packed);

/// Codes and scales of a weight, for quantized x.
LAT_CHECKED lat_status lat__cpu_conv_pack_codes(lat_context *context, const lat__conv_desc *desc,
                                                lat__conv_packed *packed);
/// Floats that the codes of x take; false when their number leaves int64.
bool lat__cpu_conv_codes_floats(const lat__conv_desc *desc, const lat__conv_packed *packed, int64_t *n_floats);
/// Quantizes x into the shared floats, which `memory` are.
void lat__cpu_conv_quantize(lat_context *context, lat__cpu_conv_job *job, float *memory);

/// Finished rows of a block: division, bias, rounding, epilogue, into y.
void lat__cpu_conv_finish(const lat__cpu_conv_job *job, int worker, int64_t first_row, int64_t n_rows, float *sums);

/// Floats of a worker from an offset of the job.
static inline float *lat__cpu_conv_scratch(const lat__cpu_conv_job *job, int worker, int64_t at) {
  return job->scratch + worker * job->worker_floats + at;
}

#endif
