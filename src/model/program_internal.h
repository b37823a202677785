/// Programs and sessions as the files of the executor see them.
#ifndef LATTICE_MODEL_PROGRAM_INTERNAL_H
#define LATTICE_MODEL_PROGRAM_INTERNAL_H

#include <lattice/conv.h>
#include <lattice/norm.h>
#include <lattice/plan.h>
#include <lattice/program.h>

#include "model/arena_layout.h"
#include "model/graph.h"
#include "model/session_pool.h"

/// A parameter as operations take it.
typedef struct lat__constant {
  lat_array *dense;             ///< in the program's dtype where that applies; NULL for a packed one
  lat_quantized_weight *packed; ///< made for the consumers' input channels; NULL: made at each use
} lat__constant;

/// One of the graph's sparse inputs: three arguments under a common name.
typedef struct lat__group {
  const char *name;
  int32_t first; ///< number of the coordinates' input; features and active follow
} lat__group;

/// Operations that run in one pass: a convolution or linear layer and what follows it (program_fuse.c). Numbers of operations, -1: none.
typedef struct lat__chain {
  int32_t conv, norm, activation;
  int32_t residual; ///< value that is added, -1: none
  int32_t result;   ///< value that comes out
  int32_t ops[8];   ///< all of them, in order
  int32_t n_ops;
  lat_array *folded_weight, *folded_bias; ///< with the norm in them (program_fold.c), or NULL
  lat_weight_panels *panels;              ///< of the weight (program_pack.c), or NULL: sessions make them
} lat__chain;

struct lat_program {
  atomic_int refcount;
  lat__arena arena; ///< everything but arrays; the program itself included
  lat_model *model; ///< a copy: nobody changes it
  lat_dtype dtype;  ///< 0: as they come
  bool training;
  lat__constant *constants; ///< parallel to the model's parameters
  int32_t *last_use;        ///< for each value: the last operation that reads it, -1: none, n_ops: an output
  int32_t *made_at;         ///< for each value: the operation where it appears, -1: an input, or never by itself
  int32_t *root;            ///< for each value: the one whose elements it has, itself where it has its own
  int32_t *root_end;        ///< for each root: the last of the last uses of values with its elements
  lat__group *groups;
  int64_t n_groups;
  lat__chain *chains;
  int64_t n_chains;
  int32_t *chain_of; ///< for each operation: its chain, -1: it runs by itself
};

/// A value while a program runs: a sparse value has `tensor`; a dense one has `array`, or `tensor` when it is the features
/// of a set's rows (any of the two can be had from the other).
typedef struct lat__slot {
  lat_tensor *tensor;
  lat_array *array;
  const void *data; ///< of the elements, for the accounts
  bool bound;       ///< one of three arguments that came as one tensor
} lat__slot;

/// What is known of a value before it is there.
typedef struct lat__shape {
  const lat_coords *coords; ///< of the rows, borrowed from a slot, a plan or the session; NULL: dense
  int64_t rows, channels;   ///< rows -1: not known
  lat_dtype dtype;
} lat__shape;

/// A coordinate set that came in as an array, kept for the next run with equal rows.
typedef struct lat__made_set {
  int32_t coords_value; ///< graph value of the array
  lat_triple stride;
  lat_coords *coords;
} lat__made_set;

/// A chain's plan, kept for runs on the same sets.
typedef struct lat__kept_plan {
  lat_plan *plan;
  lat_weight_panels *panels; ///< where the program's are not what the features need, or NULL
  uint64_t x_id, target_id;
  lat_dtype dtype;
  int64_t channels;
} lat__kept_plan;

/// New running statistics of one batch norm.
typedef struct lat__statistic {
  int32_t mean, var; ///< parameters
  lat_running_stats stats;
} lat__statistic;

struct lat_session {
  lat_context *context; ///< its own, on the pool
  lat__pool *pool;
  lat_program *program;
  lat_array *memory;        ///< of this struct and what it points to
  lat__slot *slots;         ///< parallel to the model's values
  lat_coords **own_sets;    ///< parallel to them: sets of dense features that have none, output sets of pools; or NULL
  lat__shape *shapes;       ///< parallel to them, of this run
  size_t *last_bytes;       ///< parallel to them: elements in the last run
  size_t *sizes;            ///< one for each value, then one for each chain's workspace: what has a place in the arena
  lat__interval *intervals; ///< parallel to these: the places
  int32_t *order;           ///< parallel to these: for the layout
  uint8_t *is_done;         ///< parallel to the model's operations: run ahead of its turn
  uint64_t arena_bytes;     ///< what the layout needs
  int64_t n_rebuilt;        ///< plans that this run made anew
  bool is_steady;           ///< this run found plans and places as it left them
  lat__made_set *sets;
  int64_t n_sets;
  lat__kept_plan *plans; ///< parallel to the program's chains
  lat__statistic *statistics;
  int64_t n_statistics;
  struct lat__watch *watch; ///< looks at every step, or NULL (explain.c)
  bool unprepared;          ///< every step makes its relations and plans itself
  int64_t n_dropouts;       ///< dropouts passed in this run
  lat_run_opts opts;
  uint64_t live_bytes, most_live_bytes, total_bytes, peak_bytes;
};

typedef struct lat__result {
  const char *name;
  lat_tensor *tensor;
  lat_array *array;
} lat__result;

struct lat_results {
  atomic_int refcount;
  lat_array *memory; ///< of this struct and what it points to
  lat_program *program;
  lat__result *items;
  lat__statistic *statistics;
  int64_t n_items, n_statistics;
};

// --- graph ---

/// Channels of every value as far as the graph says (-1: not known), into `channels`, one for each value.
void lat__model_infer_channels(const lat_model *model, int64_t *channels);

/// Finds the chains of a program; `fuses` false: each is a convolution alone.
LAT_CHECKED lat_status lat__program_fuse(lat_context *context, lat_program *program, bool fuses);

/// Puts the norms of chains into weights and biases.
LAT_CHECKED lat_status lat__program_fold(lat_context *context, lat_program *program);

/// Finds where values appear, whose elements they have and how long these are needed.
LAT_CHECKED lat_status lat__program_lifetimes(lat_context *context, lat_program *program);

/// Packs the weights of chains.
LAT_CHECKED lat_status lat__program_pack(lat_context *context, lat_program *program);

/// Runs a chain through its plan.
LAT_CHECKED lat_status lat__run_chain(lat_session *session, const lat__chain *chain);

/// Makes sure that the chain's kept plan takes x of that shape, onto `target` where it has one.
LAT_CHECKED lat_status lat__chain_plan(lat_session *session, const lat__chain *chain, const lat__shape *x,
                                       const lat_coords *target);

/// Runs an operation, or a chain where it is not NULL.
LAT_CHECKED lat_status lat__run_step(lat_session *session, const lat__chain *chain, const lat__op *op);

/// Before the first operation: plans of chains, row counts of values, and from them the places of values in the arena. What
/// fails here is left for the operation's own turn.
LAT_CHECKED lat_status lat__session_prepare(lat_session *session);

/// Tells the pool where the result and the workspace of the coming step belong.
void lat__session_aim(lat_session *session, const lat__chain *chain, const lat__op *op);

/// A set of `n` rows that lie nowhere in particular, for the dense features of a value: the same one while n is.
LAT_CHECKED lat_status lat__session_blank_set(lat_session *session, int32_t value, int64_t n, const lat_coords **out);

/// Runs a step, or an operation where `chain` is NULL, and notes what it did in the session's watch.
LAT_CHECKED lat_status lat__watch_step(lat_session *session, const lat__chain *chain, const lat__op *op);

/// A packed weight from a parameter's three arrays, for a consumer with `c_in` input channels and that kernel.
LAT_CHECKED lat_status lat__constant_unpack(lat_context *context, const lat__parameter *parameter, int64_t c_in,
                                            lat_triple kernel, lat_quantized_weight **out);

// --- values of a run ---

/// The operand's tensor; dense features get a set of their own when they have none. Borrowed from the slot.
LAT_CHECKED lat_status lat__run_tensor(lat_session *session, int32_t value, const lat_tensor **out);

/// The operand's elements. Borrowed from the slot.
LAT_CHECKED lat_status lat__run_view(lat_session *session, int32_t value, lat_array_view *out);

/// Gives a value its result (takes the reference). Exactly one of the two.
void lat__run_give(lat_session *session, int32_t value, lat_tensor *tensor, lat_array *array);

/// Logical rows times the stride, a new `(N, 4)` array.
LAT_CHECKED lat_status lat__physical_rows(lat_context *context, const lat_coords *coords, lat_array **out);

/// A weight and bias ready for a call. Zero-initialise; lat__model_conv_close releases what was made for it.
typedef struct lat__model_conv {
  const lat_tensor *x; ///< for a call
  lat_dtype dtype;     ///< of x
  int64_t channels;    ///< of x
  lat_weight weight;
  lat_array_view bias;
  bool has_bias;
  lat_array *owned[2];        ///< casts
  lat_quantized_weight *made; ///< a packed weight whose channels the graph did not tell
} lat__model_conv;

/// x, weight and bias of an operation; `first` is the operand number of the weight.
LAT_CHECKED lat_status lat__model_conv_open(lat_session *session, const lat__op *op, int32_t first, lat__model_conv *o);

/// Weight and bias for the dtype and channels that `o` says.
LAT_CHECKED lat_status lat__model_conv_open_weight(lat_session *session, const lat__op *op, int32_t first,
                                                   lat__model_conv *o);
void lat__model_conv_close(lat__model_conv *o);

/// Takes the folded weight and bias of a chain instead.
LAT_CHECKED lat_status lat__model_conv_replace(lat_session *session, const lat__chain *chain, lat__model_conv *o);

/// True for convolutions whose second operand is a target.
bool lat__has_target(lat__op_kind kind);

/// The window of a pool as its attributes say it.
lat_kernel_opts lat__pool_window_of(const lat__op *op);

/// The options of a convolution as its attributes say them, without coordinates.
lat_conv3d_opts lat__conv_opts_of(const lat__op *op);

/// Makes the array of an argument that came as part of a tensor.
LAT_CHECKED lat_status lat__run_materialize(lat_session *session, int32_t value);

/// Puts the caller's inputs into the slots of the graph's arguments.
LAT_CHECKED lat_status lat__session_bind(lat_session *session, const lat_binding *inputs, int64_t n_inputs);

/// The outputs out of their slots.
LAT_CHECKED lat_status lat__results_collect(lat_session *session, lat_results **out);

/// The one element of an `active` array, checked against `n_rows`.
LAT_CHECKED lat_status lat__run_active(lat_session *session, int32_t value, int64_t n_rows, int64_t *out);

/// The parameter behind an operand of kind weight.
int32_t lat__run_parameter(const lat_session *session, int32_t value);

/// Operand `i` of an operation, -1 when it is left out.
int32_t lat__op_operand(const lat__op *op, int32_t i);

// --- operations: each reads its operands' slots and gives its results ---

typedef lat_status (*lat__run_fn)(lat_session *session, const lat__op *op);

lat_status lat__run_conv(lat_session *session, const lat__op *op);
lat_status lat__run_linear(lat_session *session, const lat__op *op);
lat_status lat__run_embedding(lat_session *session, const lat__op *op);
lat_status lat__run_elementwise(lat_session *session, const lat__op *op);
lat_status lat__run_softmax(lat_session *session, const lat__op *op);
lat_status lat__run_activation(lat_session *session, const lat__op *op);
lat_status lat__run_dropout(lat_session *session, const lat__op *op);
lat_status lat__run_norm(lat_session *session, const lat__op *op);
lat_status lat__run_make(lat_session *session, const lat__op *op);
lat_status lat__run_decompose(lat_session *session, const lat__op *op);
lat_status lat__run_with_features(lat_session *session, const lat__op *op);
lat_status lat__run_reindex(lat_session *session, const lat__op *op);
lat_status lat__run_pool(lat_session *session, const lat__op *op);
lat_status lat__run_global_pool(lat_session *session, const lat__op *op);
lat_status lat__run_voxelize(lat_session *session, const lat__op *op);
lat_status lat__run_devoxelize(lat_session *session, const lat__op *op);
lat_status lat__run_binary(lat_session *session, const lat__op *op);
lat_status lat__run_cat(lat_session *session, const lat__op *op);
lat_status lat__run_concat_reduce(lat_session *session, const lat__op *op);
lat_status lat__run_to_dense(lat_session *session, const lat__op *op);

/// The function of an operation; NULL for `weight`, which needs none, and for what is not run.
lat__run_fn lat__run_fn_of(lat__op_kind kind);

#endif
