/// \file program.h
/// Running models: a program is a model made ready to run; a session runs it.
///
///     lat_program *program = NULL;
///     lat_results *results = NULL;
///     lat_binding input = {.name = "x", .tensor = x};
///     status = lat_model_compile(context, model, NULL, &program);
///     if (!status) status = lat_program_run(context, program, &input, 1, NULL, &results);
///     const lat_tensor *y = lat_results_tensor(results, "y");
///
/// A program is immutable and holds the parameters the model had when it was compiled: changing the model later does not
/// change it, and threads may share it. A session belongs to one thread at a time and keeps what makes a next run cheap:
/// memory, and the coordinate sets of equal inputs with the relations on them. lat_program_run is a session that runs once.
///
/// Numbers: every operation is the public call of the same meaning. Dense convolution and linear weights and biases are
/// rounded to the dtype of the features they meet; norm parameters stay float32 and the result has the features' dtype.
///
/// Memory: before the first operation a run builds the sets, relations and plans of all levels, so that the rows of every
/// value are known, and packs values and workspace into one arena by when they are needed. The arena stays for later runs:
/// it grows when a set needs more. A second run of the same sizes takes nothing from the context's allocator, provided that
/// the results of the first have been released. Results lie outside the arena and stay valid.
#ifndef LATTICE_PROGRAM_H
#define LATTICE_PROGRAM_H

#include <lattice/model.h>
#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted, immutable program.
typedef struct lat_program lat_program;

/// Opaque session: a program with the memory to run it.
typedef struct lat_session lat_session;

/// Opaque, reference-counted, immutable outputs of a run.
typedef struct lat_results lat_results;

/// How a model is compiled. NULL and zero fields mean the defaults.
typedef struct lat_compile_opts {
  size_t struct_bytes; ///< sizeof(lat_compile_opts)
  lat_dtype dtype;     ///< float32, float16 or bfloat16: features of sparse inputs, convolution and linear weights are
                       ///< rounded to it; 0: as they come
  int32_t training;    ///< non-zero: batch norm takes the rows' statistics, dropout drops
  int32_t no_fusion;  ///< non-zero: norm, residual and activation do not run in the pass of their convolution; the bits
                      ///< are the same
  int32_t fold_norms; ///< non-zero: batch norms in the pass of a dense convolution or linear layer become part of its
                      ///< weight and bias. A result of n float32 products then differs by at most
                      ///< (n + 4) 2^-23 (sum |x w| + |bias|), w and bias being the folded ones, and 16-bit weights are
                      ///< rounded after folding
} lat_compile_opts;

#define LAT_COMPILE_OPTS_INIT                                                                                          \
  { sizeof(lat_compile_opts), (lat_dtype)0, 0, 0, 0 }

/// Makes a model ready to run. Retains the parameters' arrays and packs the weights of convolutions and linear layers for
/// the context's CPU level (weight panels, plan.h): sessions of that level share them.
/// Errors: INVALID_ARGUMENT (NULL; "parameter NAME has no values"), INVALID_DTYPE ("dtype"), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_model_compile(lat_context *context, const lat_model *model,
                                                 const lat_compile_opts *opts, lat_program **out);

/// Adds a reference and returns `program` (NULL is passed through).
LAT_API lat_program *lat_program_retain(const lat_program *program);

/// Drops a reference; NULL is accepted.
LAT_API void lat_program_release(lat_program *program);

/// An input by its name. Give a sparse input as one tensor under its own name ("x"), or as three arrays under the names
/// of the graph's inputs ("x_coords", "x_features", "x_active"); a dense input as an array. Borrows until return.
typedef struct lat_binding {
  const char *name;
  const lat_tensor *tensor;    ///< logical coordinates and their stride, which is the input's; or NULL
  const lat_array_view *array; ///< coordinates `(N, 4)` int32, physical unless lat_run_opts says otherwise; or NULL
} lat_binding;

/// How a run goes. NULL and zero fields mean the defaults.
typedef struct lat_run_opts {
  size_t struct_bytes;     ///< sizeof(lat_run_opts)
  int32_t logical_coords;  ///< non-zero: coordinate arrays that come in are logical, not multiplied by their stride
  uint64_t dropout_stream; ///< training: a number of its own for each run that shall draw other masks
} lat_run_opts;

#define LAT_RUN_OPTS_INIT                                                                                              \
  { sizeof(lat_run_opts), 0, 0 }

/// Starts a session. It works on the context's threads and starts none. The context must outlive it (results and sets may
/// outlive both).
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_session_create(lat_context *context, const lat_program *program, lat_session **out);

/// Ends a session; NULL is accepted. Results stay valid.
LAT_API void lat_session_destroy(lat_session *session);

/// Runs the program. Every error of an operation starts with the name of the value it makes.
/// Errors: INVALID_ARGUMENT (NULL; "missing artifact input: NAME"; "unexpected artifact inputs: NAMES"; an input given
/// twice, or as a tensor and as arrays; "stride must match"; "exactly divisible"; "active"), INVALID_SHAPE and
/// INVALID_DTYPE (of an input), and those of the operations.
LAT_API LAT_CHECKED lat_status lat_session_run(lat_session *session, const lat_binding *inputs, int64_t n_inputs,
                                               const lat_run_opts *opts, lat_results **out);

/// Memory of a session's last run, in bytes.
typedef struct lat_session_memory {
  uint64_t peak_bytes;  ///< most that was in use at once: values, relations, workspace
  uint64_t live_bytes;  ///< most that values took at once, each array counted once
  uint64_t total_bytes; ///< all values that were made, as if nothing were ever given back
  uint64_t held_bytes;  ///< what the session holds of the context: the arena, relations and plans, results not released
  uint64_t arena_bytes; ///< of them the block in which the values of a run and the workspace of its steps lie
} lat_session_memory;

/// Memory of the last run; zeros before the first and for NULL.
LAT_API lat_session_memory lat_session_memory_of(const lat_session *session);

/// A session that runs once. Errors: as lat_session_create and lat_session_run.
LAT_API LAT_CHECKED lat_status lat_program_run(lat_context *context, const lat_program *program,
                                               const lat_binding *inputs, int64_t n_inputs, const lat_run_opts *opts,
                                               lat_results **out);

/// Number of outputs, and their names in the model's order (NULL outside). Borrowed: valid while `results` is held.
LAT_API int64_t lat_results_count(const lat_results *results);
LAT_API const char *lat_results_name(const lat_results *results, int64_t index);

/// A sparse or a dense output; NULL when there is none of that name and kind, or when `results` is NULL. Borrowed:
/// valid while `results` is held; retain it to keep it longer.
LAT_API const lat_tensor *lat_results_tensor(const lat_results *results, const char *name);
LAT_API const lat_array *lat_results_array(const lat_results *results, const char *name);

/// Puts the running statistics that a training run computed into the model that the program came from, or another with
/// the same names. Errors: INVALID_ARGUMENT (NULL; "no parameter NAME").
LAT_API LAT_CHECKED lat_status lat_model_update_statistics(lat_model *model, const lat_results *results);

/// Adds a reference and returns `results` (NULL is passed through).
LAT_API lat_results *lat_results_retain(const lat_results *results);

/// Drops a reference; NULL is accepted.
LAT_API void lat_results_release(lat_results *results);

#ifdef __cplusplus
}
#endif
#endif
