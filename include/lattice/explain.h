/// \file explain.h
/// What a program does on given inputs, layer by layer: rows, edges, the algorithm, bytes, and where the time goes.
#ifndef LATTICE_EXPLAIN_H
#define LATTICE_EXPLAIN_H

#include <lattice/plan.h>
#include <lattice/program.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, immutable explanation of one program on one set of inputs.
typedef struct lat_explanation lat_explanation;

/// Room for the longest name and its end.
#define LAT_LAYER_NAME_BYTES 128

/// One layer: an operation, or a convolution with what runs in its pass. A length of -1 means that there is none.
typedef struct lat_layer {
  char name[LAT_LAYER_NAME_BYTES]; ///< of the module
  char op[LAT_LAYER_NAME_BYTES];   ///< "subm_conv3d + batch_norm + relu"
  char support[16]; ///< "same", "floor", "reach", "target", "transposed", "generative", "pointwise"; or ""
  char algorithm[LAT_PLAN_EXPLAIN_BYTES]; ///< lat_plan_explain of a convolution; or ""
  int64_t in_rows, in_channels;
  int64_t rows, channels; ///< of the result
  int64_t edges;          ///< of the relation
  double neighbors;       ///< edges for each row of the result; 0 without a relation
  uint64_t bytes;         ///< of the result's elements
  uint64_t weight_bytes;  ///< of the weight as the kernels read it
  double products;        ///< multiply-adds of a convolution or linear layer; 0 for others
  double map_ms;          ///< building sets and relations, the first time
  double compute_ms;      ///< the layer itself, when they are there: least of three runs
} lat_layer;

/// Runs the program four times and says what it did. `inputs` as lat_session_run.
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY, and those of lat_session_run.
LAT_API LAT_CHECKED lat_status lat_program_explain(lat_context *context, const lat_program *program,
                                                   const lat_binding *inputs, int64_t n_inputs,
                                                   const lat_run_opts *opts, lat_explanation **out);

/// Number of layers, in order of execution; 0 for NULL.
LAT_API int64_t lat_explanation_count(const lat_explanation *explanation);

/// Layer `index`; NULL outside. Borrowed: valid until the explanation is released.
LAT_API const lat_layer *lat_explanation_layer(const lat_explanation *explanation, int64_t index);

/// Memory of the runs; zeros for NULL.
LAT_API lat_session_memory lat_explanation_memory(const lat_explanation *explanation);

/// Frees an explanation; NULL is accepted.
LAT_API void lat_explanation_release(lat_explanation *explanation);

#ifdef __cplusplus
}
#endif
#endif
