/// \file nn.h
/// Building models: modules that append operators to a model's graph, with parameters under dotted names.
///
///     lat_nn *nn = NULL;
///     lat_model *model = NULL;
///     status = lat_nn_create(context, &nn);
///     lat_value h = lat_nn_input(nn, "x", 16, NULL);
///     h = lat_nn_conv3d(nn, h, 16, 32, NULL);           // 0.weight, 0.bias
///     h = lat_nn_batch_norm(nn, h, 32, NULL);           // 1.weight, 1.bias, 1.running_mean, 1.running_var
///     h = lat_nn_relu(nn, h);
///     h = lat_nn_subm_conv3d(nn, h, 32, 32, LAT_OPTS(lat_nn_conv_opts, .name = "last", .no_bias = 1)); // last.weight
///     lat_nn_output(nn, "y", h);
///     if (!status) status = lat_nn_finish(nn, &model);
///
/// Values: a builder takes and returns `lat_value` numbers. The first thing that goes wrong is kept: that call and all
/// later ones return 0, a 0 is accepted everywhere, and lat_nn_finish reports the first error with the module's dotted
/// name ("conv3d: stem.0: in_channels must match the input: got 16, expected 32"). So no call needs a check of its own.
///
/// Names: a module is called by `opts->name`, or by its number in its scope as in torch's Sequential (modules without
/// parameters count too, modules with a name do not). lat_nn_begin and lat_nn_end put a scope around a block, which is
/// all that a sequential, a residual or a user's own block needs; a dot joins the levels. A name may be taken only once.
///
/// Initial values come from the counter-based generator: the parameter called NAME draws from stream
/// lat_nn_stream(NAME) of the context's seed, so values depend on the seed and the name alone, not on the order of building.
/// Parameters are float32. Convolutions: weight `(C_out, Kx, Ky, Kz, C_in / groups)` uniform within
/// sqrt(1 / (C_in / groups * Kx Ky Kz)), bias zeros. Linear: weight `(C_out, C_in)` and bias within 1 / sqrt(C_in). Norms:
/// weight ones, bias zeros, running_mean zeros, running_var ones.
#ifndef LATTICE_NN_H
#define LATTICE_NN_H

#include <lattice/activation.h>
#include <lattice/algebra.h>
#include <lattice/dense.h>
#include <lattice/model.h>
#include <lattice/nn_options.h>
#include <lattice/points.h>
#include <lattice/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

// --- the builder ---

/// Starts a model. Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_nn_create(lat_context *context, lat_nn **out);

/// Ends the builder, whatever comes out (takes it), and gives the model. Reports the first error of any builder call.
/// Errors: any of theirs; INVALID_ARGUMENT (NULL; a scope that is still open; no output).
LAT_API LAT_CHECKED lat_status lat_nn_finish(lat_nn *nn, lat_model **out);

/// Throws the builder away; NULL is accepted.
LAT_API void lat_nn_destroy(lat_nn *nn);

/// The first error so far, with its text as lat_last_error; OK if there was none.
/// Errors: INVALID_ARGUMENT (NULL).
LAT_API LAT_CHECKED lat_status lat_nn_status(const lat_nn *nn);

/// Opens a scope: names of modules until lat_nn_end start with `name` and a dot. NULL: the scope's number.
LAT_API void lat_nn_begin(lat_nn *nn, const char *name);

/// Closes the innermost scope.
LAT_API void lat_nn_end(lat_nn *nn);

/// Keeps an error of the caller's own (text as in lat_fail), for blocks that check their arguments. Returns 0.
LAT_API lat_value lat_nn_fail(lat_nn *nn, lat_status status, const char *format, ...) LAT_PRINTF(3, 4);

/// Random stream of the parameter called `name`: 64-bit FNV-1a of its bytes (Fowler, Noll, Vo).
LAT_API uint64_t lat_nn_stream(const char *name);

/// A sparse input. The program calls its arrays `<name>_coords`, `<name>_features` and `<name>_active`.
LAT_API lat_value lat_nn_input(lat_nn *nn, const char *name, int64_t channels, const lat_nn_input_opts *opts);

/// A dense input `(N, channels)`, or `(N,)` when channels is 0, of dtype float32, float16, bfloat16 or int32.
LAT_API lat_value lat_nn_input_array(lat_nn *nn, const char *name, int64_t channels, lat_dtype dtype);

/// Makes a value an output of the model.
LAT_API void lat_nn_output(lat_nn *nn, const char *name, lat_value value);

/// Channels of a value; 0 for a value of rank 1 and for no value.
LAT_API int64_t lat_nn_channels(const lat_nn *nn, lat_value value);

// --- convolutions: conv.h, conv_transpose.h and conv_normalized.h say what they compute ---

/// lat_conv3d, onto `opts->target` where there is one. Errors: geometry; channels.
LAT_API lat_value lat_nn_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                const lat_nn_conv_opts *opts);

/// lat_subm_conv3d. Errors: as conv3d; "subm_conv3d requires odd kernel_size values"; a stride, padding or target.
LAT_API lat_value lat_nn_subm_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                     const lat_nn_conv_opts *opts);

/// lat_normalized_subm_conv3d. Errors: as subm_conv3d; "eps must be positive".
LAT_API lat_value lat_nn_normalized_subm_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                                const lat_nn_conv_opts *opts);

/// lat_conv_transpose3d; kernel_size and stride default to 2.
LAT_API lat_value lat_nn_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                          const lat_nn_conv_opts *opts);

/// lat_normalized_conv_transpose3d.
LAT_API lat_value lat_nn_normalized_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                                     const lat_nn_conv_opts *opts);

/// lat_generative_conv_transpose3d. Errors: as conv3d; a padding or dilation.
LAT_API lat_value lat_nn_generative_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                                     const lat_nn_conv_opts *opts);

/// lat_normalized_generative_conv_transpose3d.
LAT_API lat_value lat_nn_normalized_generative_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels,
                                                                int64_t out_channels, const lat_nn_conv_opts *opts);

/// The same with packed weights (`opts->bits`, `opts->group_size`): the initial weight of the dense module, packed. Stored
/// as `<module>.weight` (words), `.scales` and `.biases`; frozen.
LAT_API lat_value lat_nn_quantized_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                          const lat_nn_conv_opts *opts);
LAT_API lat_value lat_nn_quantized_subm_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                               const lat_nn_conv_opts *opts);
LAT_API lat_value lat_nn_quantized_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                                    const lat_nn_conv_opts *opts);
LAT_API lat_value lat_nn_quantized_generative_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels,
                                                               int64_t out_channels, const lat_nn_conv_opts *opts);

// --- features: sparse values and dense ones of rank 2 alike ---

/// lat_linear.
LAT_API lat_value lat_nn_linear(lat_nn *nn, lat_value x, int64_t input_dims, int64_t output_dims,
                                const lat_nn_linear_opts *opts);

/// lat_linear with a packed weight.
LAT_API lat_value lat_nn_quantized_linear(lat_nn *nn, lat_value x, int64_t input_dims, int64_t output_dims,
                                          const lat_nn_linear_opts *opts);

/// lat_batch_norm. Evaluating: running statistics, or the rows' own without running statistics. Training: the rows' own,
/// and running statistics become `(1 - momentum) * running + momentum * batch` (population variance).
LAT_API lat_value lat_nn_batch_norm(lat_nn *nn, lat_value x, int64_t num_features, const lat_nn_norm_opts *opts);

/// lat_layer_norm; `opts->no_bias` leaves the bias away.
LAT_API lat_value lat_nn_layer_norm(lat_nn *nn, lat_value x, int64_t dims, const lat_nn_norm_opts *opts);

/// lat_rms_norm: a weight, no bias.
LAT_API lat_value lat_nn_rms_norm(lat_nn *nn, lat_value x, int64_t dims, const lat_nn_norm_opts *opts);

/// lat_instance_norm and lat_group_norm, of sparse values.
LAT_API lat_value lat_nn_instance_norm(lat_nn *nn, lat_value x, int64_t channels, const lat_nn_norm_opts *opts);
LAT_API lat_value lat_nn_group_norm(lat_nn *nn, lat_value x, int64_t groups, int64_t channels,
                                    const lat_nn_norm_opts *opts);

/// The activations of those names.
LAT_API lat_value lat_nn_relu(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_sigmoid(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_silu(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_tanh(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_gelu(lat_nn *nn, lat_value x, lat_gelu_approx approximate);
LAT_API lat_value lat_nn_leaky_relu(lat_nn *nn, lat_value x, double negative_slope); ///< 0: 0.01
LAT_API lat_value lat_nn_softplus(lat_nn *nn, lat_value x);                          ///< beta 1, threshold 20

/// lat_dropout while training, the value itself otherwise. p in [0, 1).
LAT_API lat_value lat_nn_dropout(lat_nn *nn, lat_value x, double p);

/// lat_exp, lat_round and lat_softmax of dense float32 values.
LAT_API lat_value lat_nn_exp(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_round(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_softmax(lat_nn *nn, lat_value x);

/// lat_embedding_lookup: weight `(num_embeddings, dims)` uniform within sqrt(1 / dims); x is an int32 vector.
LAT_API lat_value lat_nn_embedding(lat_nn *nn, lat_value x, int64_t num_embeddings, int64_t dims, const char *name);

// --- pools ---

/// lat_pool3d; kernel_size and stride default to 2. The other three fix the mode.
LAT_API lat_value lat_nn_pool3d(lat_nn *nn, lat_value x, lat_pool_mode mode, const lat_nn_pool_opts *opts);
LAT_API lat_value lat_nn_sum_pool3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts);
LAT_API lat_value lat_nn_max_pool3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts);
LAT_API lat_value lat_nn_avg_pool3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts);

/// lat_pool_transpose3d, onto `opts->target` where there is one.
LAT_API lat_value lat_nn_pool_transpose3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts);

/// lat_trilinear_upsample3d by `opts->stride` (default 2), onto `opts->target` where there is one.
LAT_API lat_value lat_nn_trilinear_upsample3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts);

/// lat_global_pool: a dense value with one row per batch item.
LAT_API lat_value lat_nn_global_sum_pool(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_global_avg_pool(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_global_max_pool(lat_nn *nn, lat_value x);

// --- algebra, points, dense ---

/// lat_sparse_add with the outer join: what a residual needs. Operands on one set are added row by row.
LAT_API lat_value lat_nn_add(lat_nn *nn, lat_value a, lat_value b);

/// lat_sparse_binary.
LAT_API lat_value lat_nn_binary(lat_nn *nn, lat_value a, lat_value b, const lat_binary_opts *opts);

/// lat_sparse_cat of `n` values (at least 1), DEFAULT join: inner. What a skip needs.
LAT_API lat_value lat_nn_cat(lat_nn *nn, const lat_value *values, int64_t n, lat_join join);

/// lat_reindex_sparse: the features of x on the set of target.
LAT_API lat_value lat_nn_reindex(lat_nn *nn, lat_value x, lat_value target, double fill);

/// The features of a sparse value as a dense one, and a sparse value with other features (dense, as many rows).
LAT_API lat_value lat_nn_features(lat_nn *nn, lat_value x);
LAT_API lat_value lat_nn_with_features(lat_nn *nn, lat_value x, lat_value features);

/// The rows of `n` values one after the other, on the stride of the first, of which the others' are multiples; equal rows
/// are treated as `duplicates` says.
LAT_API lat_value lat_nn_concat_reduce(lat_nn *nn, const lat_value *values, int64_t n, lat_duplicates duplicates);

/// lat_to_dense: a dense value of rank 5, or 4 when an axis is folded into the channels. `zyx` non-zero: the spatial axes
/// are in the order z, y, x.
LAT_API lat_value lat_nn_to_dense(lat_nn *nn, lat_value x, int32_t zyx, const lat_dense_opts *opts);

/// Dense inputs for points: `<name>_points` (float32 `(N, 3)`), `_features`, `_batch` (int32) and `_active`.
LAT_API lat_nn_points lat_nn_input_points(lat_nn *nn, const char *name, int64_t channels);

/// lat_voxelize of dense features at points, and lat_devoxelize of a sparse value at points.
LAT_API lat_value lat_nn_voxelize(lat_nn *nn, const lat_nn_points *points, lat_value features,
                                  const lat_nn_voxel_opts *opts);
LAT_API lat_value lat_nn_devoxelize(lat_nn *nn, const lat_nn_points *points, lat_value voxels,
                                    const lat_nn_voxel_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
