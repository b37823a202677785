/// Problem strings: one line that says everything about one run of one operator.
///
///     conv3d:cin=64,cout=64,k=3,s=1,type=f32,scene=cpu_lidar,threads=1
///
/// The same strings are the currency of benchmarks, property tests, bug reports and fuzz output. An operator, a colon,
/// then `key=value` pairs in any order; a key that is left out has its default. docs/benchmarks.md lists the keys.
/// A value may be a list, `cin=16,32,64`: such a text stands for several problems (problem_expand).
#ifndef LATTICE_PROBLEM_H
#define LATTICE_PROBLEM_H

#include <stdbool.h>

#include <lattice/lattice.h>

/// Operators of problem strings.
typedef enum problem_op {
  PROBLEM_CONV3D,
  PROBLEM_SUBM_CONV3D,
  PROBLEM_CONV_TRANSPOSE3D,
  PROBLEM_LINEAR,
  PROBLEM_POOL3D,
  PROBLEM_GLOBAL_POOL,
  PROBLEM_RELU,
  PROBLEM_GELU,
  PROBLEM_ACTIVATION, ///< any other, by its mode
  PROBLEM_BATCH_NORM,
  PROBLEM_LAYER_NORM,
  PROBLEM_RMS_NORM,
  PROBLEM_SPARSE_ADD,
  PROBLEM_SPARSE_CAT,
  PROBLEM_VOXELIZE,
  PROBLEM_DEVOXELIZE,
  PROBLEM_RELATION, ///< builds the map and nothing else
  PROBLEM_RADIUS,   ///< radius neighbours of every row
  PROBLEM_KNN,      ///< nearest neighbours of every row
  PROBLEM_NETWORK,  ///< a whole reference network
  PROBLEM_N_OPS
} problem_op;

/// How the weights of a convolution or linear layer are stored.
typedef enum problem_weights {
  PROBLEM_WEIGHTS_F32,
  PROBLEM_WEIGHTS_F16,
  PROBLEM_WEIGHTS_BF16,
  PROBLEM_WEIGHTS_INT8,
  PROBLEM_WEIGHTS_INT4
} problem_weights;

/// How features go into the products of a convolution or linear layer.
typedef enum problem_acts {
  PROBLEM_ACTS_FLOAT,
  PROBLEM_ACTS_INT8 ///< a plan that quantizes them row by row
} problem_acts;

/// What runs: the operator, or its gradient by the features or by the weight.
typedef enum problem_grad { PROBLEM_GRAD_NONE, PROBLEM_GRAD_X, PROBLEM_GRAD_WEIGHT } problem_grad;

/// Where the rows and points come from.
typedef enum problem_scene {
  PROBLEM_SCENE_RANDOM,     ///< n distinct random voxels of a box around the origin
  PROBLEM_SCENE_STREET,     ///< a simulated lidar sweep of at most n points
  PROBLEM_SCENE_CPU_LIDAR,  ///< bench/cpu_lidar.bin of the shared data
  PROBLEM_SCENE_CPU_INDOOR, ///< bench/cpu_indoor.bin of the shared data
  PROBLEM_SCENE_SCAN        ///< the point file `scan`
} problem_scene;

/// In which order rows stand.
typedef enum problem_order {
  PROBLEM_ORDER_SCENE, ///< as the scene has them
  PROBLEM_ORDER_LEX    ///< ascending (batch, x, y, z)
} problem_order;

/// Ways of conv_transpose3d.
typedef enum problem_transpose {
  PROBLEM_TRANSPOSE_OWN,        ///< onto the outputs that the scene's rows make
  PROBLEM_TRANSPOSE_GENERATIVE, ///< the same, outputs never merged
  PROBLEM_TRANSPOSE_TARGET,     ///< from the scene's set divided by the stride, onto the scene's rows
  PROBLEM_TRANSPOSE_INVERSE     ///< the same sets, over the relation of the convolution that goes down
} problem_transpose;

/// Where batch_norm takes mean and variance from: its own rows, or the caller, as a network that is trained does.
typedef enum problem_statistics { PROBLEM_STATISTICS_OWN, PROBLEM_STATISTICS_GIVEN } problem_statistics;

/// Whether a network runs norms, sums and activations in the pass of a convolution.
typedef enum problem_fusion { PROBLEM_FUSION_ON, PROBLEM_FUSION_OFF } problem_fusion;

/// Another implementation measured in the same run.
typedef enum problem_peer { PROBLEM_PEER_NONE, PROBLEM_PEER_NAIVE } problem_peer;

enum { PROBLEM_PATH_BYTES = 256, PROBLEM_TEXT_BYTES = 768, PROBLEM_ANY_COUNT = -1 };

/// A parsed problem. Fields that its operator does not use have their defaults.
typedef struct problem {
  problem_op op;
  int32_t mode;  ///< the enum value of the operator's own mode (lat_pool_mode, lat_join, …)
  int64_t n;     ///< rows (scene random) or points (street); files: at most n rows; PROBLEM_ANY_COUNT: not given
  int64_t c_in;  ///< feature channels
  int64_t c_out; ///< output channels; sparse_cat: channels of the second operand
  int32_t groups;
  int32_t network; ///< which network, problem_network_name
  problem_fusion fusion;
  lat_triple kernel, stride, padding, dilation;
  lat_support support;
  lat_dtype type; ///< LAT_DTYPE_F32, LAT_DTYPE_F16 or LAT_DTYPE_BF16
  problem_weights weights;
  problem_acts acts;
  problem_grad grad; ///< of weighted operators
  problem_scene scene;
  char scan[PROBLEM_PATH_BYTES]; ///< file of PROBLEM_SCENE_SCAN, else ""
  double voxel;                  ///< voxel size, in the unit of the points
  double density;                ///< filled share of the box, scene random
  double radius;                 ///< radius, in voxels
  int64_t neighbors;             ///< most neighbours a query keeps, 0: all
  problem_order order;
  int32_t sweeps;  ///< of the street, merged; n counts the points of one
  int32_t batch;   ///< batch items: rows dealt out (random), else the scene repeated
  int32_t threads; ///< 0: what the machine allows
  uint64_t seed;
  lat_cpu_level level; ///< highest CPU level to use
  problem_peer peer;
} problem;

/// Parses one problem. On failure `*out` is untouched and the last error names what is wrong and lists what is known.
/// Errors: INVALID_ARGUMENT.
LAT_CHECKED lat_status problem_parse(const char *text, problem *out);

/// Writes the canonical string: fixed key order, the shape of the work in full, other keys where they differ from their
/// defaults. `problem_parse` of it gives the same problem. `buffer` holds PROBLEM_TEXT_BYTES. Returns `buffer`.
const char *problem_print(const problem *item, char *buffer);

/// Non-zero when the two are the same problem.
bool problem_equal(const problem *a, const problem *b);

/// Problems in a growing array.
typedef struct problem_list {
  problem *items;
  int64_t n, capacity;
} problem_list;

/// Parses `text`, in which any value may be a list, and appends every combination (the last key varies fastest).
/// Errors: INVALID_ARGUMENT, OUT_OF_MEMORY; the list keeps what it had.
LAT_CHECKED lat_status problem_expand(const char *text, problem_list *list);

/// Appends the problems of a file: one text a line, '#' starts a comment. Errors: IO_ERROR; as problem_expand with the
/// file and line in front.
LAT_CHECKED lat_status problem_read_file(const char *path, problem_list *list);

/// Frees the items.
void problem_list_release(problem_list *list);

/// Name of the operator, as in the string. Static storage.
const char *problem_op_name(problem_op op);

/// Name of the problem's mode ("max", "outer", …), "" for operators without modes. Static storage.
const char *problem_mode_name(const problem *item);

/// Name of the problem's network, as lat_zoo_build takes it. Static storage.
const char *problem_network_name(const problem *item);

/// Names for reports. Static storage.
const char *problem_type_name(lat_dtype type);
const char *problem_weights_name(problem_weights weights);
const char *problem_scene_name(problem_scene scene);

/// Non-zero when the operator has a convolution kernel: the convolutions, pool3d, relation.
bool problem_has_kernel(const problem *item);

/// Non-zero when the weights are int8 or int4.
bool problem_has_packed_weights(const problem *item);

/// Non-zero when the operator has weights: conv3d, subm_conv3d, conv_transpose3d, linear.
bool problem_is_weighted(const problem *item);

/// Non-zero when the operator works on points rather than on rows: voxelize, devoxelize.
bool problem_has_points(const problem *item);

#endif
