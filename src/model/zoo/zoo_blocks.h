/// Blocks that the reference networks share, and the networks' builders.
#ifndef LATTICE_MODEL_ZOO_BLOCKS_H
#define LATTICE_MODEL_ZOO_BLOCKS_H

#include <lattice/nn.h>
#include <lattice/zoo.h>

/// How a family of networks calls the parts of a residual block, and what its norms and convolutions are like.
typedef struct zoo_style {
  const char *conv1, *norm1, *conv2, *norm2, *short_conv, *short_norm;
  double eps, momentum; ///< 0: the modules' defaults
  int32_t block_bias;   ///< convolutions of residual blocks have a bias
} zoo_style;

/// A convolution with its norm and ReLU.
typedef struct zoo_step {
  const char *conv, *norm; ///< names in the scope
  int64_t c_in, c_out;
  lat_nn_conv_opts opts; ///< geometry; the name is `conv`
  int32_t subm, transposed;
} zoo_step;

/// conv, norm, ReLU.
lat_value lat__zoo_step(lat_nn *nn, const zoo_style *style, lat_value x, const zoo_step *step);

/// conv, norm, ReLU of a 3x3x3 submanifold convolution in a scope `name` (NULL: its number), as parts 0 and 1.
lat_value lat__zoo_subm(lat_nn *nn, const zoo_style *style, lat_value x, const char *name, int64_t c_in, int64_t c_out);

/// Residual block in a scope of its own (its number when `name` is NULL).
lat_value lat__zoo_residual(lat_nn *nn, const zoo_style *style, lat_value x, const char *name, int64_t c_in,
                            int64_t c_out);

/// Norm of the style.
lat_value lat__zoo_norm(lat_nn *nn, const zoo_style *style, lat_value x, const char *name, int64_t channels);

/// The cells that a dense convolution along one axis leaves.
int32_t lat__zoo_cells(int32_t cells, int32_t size, int32_t stride, int32_t padding);

/// Builders: append the whole network; options have their defaults filled in. `variant` tells networks of a family apart.
void lat__zoo_minkunet(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts);
void lat__zoo_resunet(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts);
void lat__zoo_resnet(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts);
void lat__zoo_detection(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts);
void lat__zoo_spvcnn(lat_nn *nn, int32_t variant, const lat_zoo_opts *opts);

#endif
