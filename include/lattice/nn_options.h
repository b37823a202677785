/// \file nn_options.h
/// Options of the modules of nn.h. A NULL and a zero field mean the default everywhere.
///
/// LAT_OPTS writes options in place (C only): `LAT_OPTS(lat_nn_conv_opts, .kernel_size = {5, 5, 5}, .no_bias = 1)`.
#ifndef LATTICE_NN_OPTIONS_H
#define LATTICE_NN_OPTIONS_H

#include <lattice/array.h>
#include <lattice/points.h>
#include <lattice/relation.h>
#include <lattice/sparse_create.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque builder of a model. Used by one thread at a time.
typedef struct lat_nn lat_nn;

/// A value of the graph that is being built; 0: none.
typedef int32_t lat_value;

/// Address of an options struct with the given fields, valid until the end of the enclosing block.
#define LAT_OPTS(type, ...) (&(const type){.struct_bytes = sizeof(type), __VA_ARGS__})

/// Options of lat_nn_input.
typedef struct lat_nn_input_opts {
  size_t struct_bytes; ///< sizeof(lat_nn_input_opts)
  lat_triple stride;   ///< stride of the input's coordinate set; (0, 0, 0): 1
  lat_dtype dtype;     ///< declared feature dtype; 0: float32
  int32_t zyx;         ///< non-zero: coordinate arrays have the columns (batch, z, y, x)
} lat_nn_input_opts;

#define LAT_NN_INPUT_OPTS_INIT                                                                                         \
  { sizeof(lat_nn_input_opts), {0, 0, 0}, (lat_dtype)0, 0 }

/// Options of the convolutions. Triples: three zeros mean the default, a triple with some zeros is an error.
typedef struct lat_nn_conv_opts {
  size_t struct_bytes;    ///< sizeof(lat_nn_conv_opts)
  const char *name;       ///< of the module; NULL: its number. Copied
  lat_triple kernel_size; ///< 3; transposed ones: 2
  lat_triple stride;      ///< 1; transposed ones: 2
  lat_triple padding;     ///< 0
  lat_triple dilation;    ///< 1
  int32_t no_bias;        ///< non-zero: no bias
  int32_t groups;         ///< 1; divides both channel counts
  lat_value target;       ///< output support: the set of this sparse value; 0: the operation's own rule
  double eps;             ///< normalized ones: 1e-8
  int32_t bits;           ///< quantized ones: 4 or 8; 4
  int32_t group_size;     ///< quantized ones: 32, 64 or 128; 64 from 64 input channels on, else 32
  lat_support support;    ///< conv3d: floor (relation.h)
  lat_triple bounds;      ///< conv3d with reach support and no target: extent of the input box; (0, 0, 0): none
} lat_nn_conv_opts;

#define LAT_NN_CONV_OPTS_INIT                                                                                          \
  {                                                                                                                    \
    sizeof(lat_nn_conv_opts), NULL, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, 0, 0, 0, 0.0, 0, 0, LAT_SUPPORT_FLOOR, \
    {                                                                                                                  \
      0, 0, 0                                                                                                          \
    }                                                                                                                  \
  }

/// Options of linear and quantized_linear.
typedef struct lat_nn_linear_opts {
  size_t struct_bytes; ///< sizeof(lat_nn_linear_opts)
  const char *name;    ///< as lat_nn_conv_opts
  int32_t no_bias;     ///< non-zero: no bias
  int32_t bits;        ///< quantized: 4 or 8; 4
  int32_t group_size;  ///< quantized: as lat_nn_conv_opts
} lat_nn_linear_opts;

#define LAT_NN_LINEAR_OPTS_INIT                                                                                        \
  { sizeof(lat_nn_linear_opts), NULL, 0, 0, 0 }

/// Options of the norms.
typedef struct lat_nn_norm_opts {
  size_t struct_bytes;      ///< sizeof(lat_nn_norm_opts)
  const char *name;         ///< as lat_nn_conv_opts
  double eps;               ///< 1e-5
  double momentum;          ///< batch_norm: 0.1; negative: 0, running statistics never move
  int32_t no_affine;        ///< non-zero: no weight and no bias
  int32_t no_bias;          ///< layer_norm, instance_norm, group_norm: a weight without a bias
  int32_t no_running_stats; ///< batch_norm: statistics of the rows, always
} lat_nn_norm_opts;

#define LAT_NN_NORM_OPTS_INIT                                                                                          \
  { sizeof(lat_nn_norm_opts), NULL, 0.0, 0.0, 0, 0, 0 }

/// Options of the local pools.
typedef struct lat_nn_pool_opts {
  size_t struct_bytes;    ///< sizeof(lat_nn_pool_opts)
  lat_triple kernel_size; ///< 2
  lat_triple stride;      ///< 2
  lat_triple padding;     ///< 0
  lat_triple dilation;    ///< 1
  lat_support support;    ///< pools: floor
  lat_triple bounds;      ///< pools with reach support: as lat_nn_conv_opts
  lat_value target;       ///< pool_transpose and trilinear: output support, as lat_nn_conv_opts
} lat_nn_pool_opts;

#define LAT_NN_POOL_OPTS_INIT                                                                                          \
  { sizeof(lat_nn_pool_opts), {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, LAT_SUPPORT_FLOOR, {0, 0, 0}, 0 }

/// The four inputs that describe points.
typedef struct lat_nn_points {
  lat_value points, features, batch_indices, active;
} lat_nn_points;

/// Options of voxelize and devoxelize. `voxel_size` has no default.
typedef struct lat_nn_voxel_opts {
  size_t struct_bytes;             ///< sizeof(lat_nn_voxel_opts)
  double voxel_size[3];            ///< > 0
  double origin[3];                ///< 0
  lat_voxel_reduction reduction;   ///< voxelize: mean
  lat_triple stride;               ///< voxelize: of the new set; (0, 0, 0): 1
  lat_interpolation interpolation; ///< devoxelize: linear
} lat_nn_voxel_opts;

#define LAT_NN_VOXEL_OPTS_INIT                                                                                         \
  { sizeof(lat_nn_voxel_opts), {0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, LAT_VOXEL_MEAN, {0, 0, 0}, LAT_INTERPOLATION_LINEAR }

#ifdef __cplusplus
}
#endif
#endif
