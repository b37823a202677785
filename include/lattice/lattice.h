/// \file lattice.h
/// Lattice: sparse 3-D tensors and sparse convolution networks on point clouds and voxels.
///
///     #include <lattice/lattice.h>
///     #include <stdio.h>
///
///     int main(void) {
///       const int32_t rows[] = {0, 0, 0, 0,  0, 1, 0, 0,  0, 1, 1, 0,  0, 2, 1, 0}; // (batch, x, y, z)
///       const float ones[4] = {1, 1, 1, 1};
///       const float taps[27] = {0};                                               // (C_out, Kx, Ky, Kz, C_in)
///       lat_context *context = NULL;
///       lat_coords *coords = NULL;
///       lat_tensor *x = NULL, *y = NULL;
///       lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 4, 4);
///       lat_array_view feat_view = lat_view_2d(ones, LAT_DTYPE_F32, 4, 1);
///       lat_weight weight = lat_weight_dense(lat_view(taps, LAT_DTYPE_F32, 5, (int64_t[]){1, 3, 3, 3, 1}));
///       lat_status status = lat_context_create(NULL, &context);
///       if (!status) status = lat_coords_create(context, &row_view, NULL, &coords);
///       if (!status) status = lat_tensor_create(context, coords, &feat_view, NULL, &x);
///       if (!status) status = lat_subm_conv3d(context, x, &weight, NULL, NULL, &y);
///       if (status) fprintf(stderr, "%s\n", lat_last_error());
///       lat_tensor_release(y);
///       lat_tensor_release(x);
///       lat_coords_release(coords);
///       lat_context_destroy(context);
///       return status != LAT_STATUS_OK;
///     }
///
/// Rules that hold everywhere, unless a function says otherwise:
/// - Errors: see status.h. A failing call leaves NULL in its output handle and changes nothing else.
/// - Ownership: inputs are borrowed until the call returns; objects that outlive the call are retained. Outputs are new
///   references that the caller releases. Destroying, releasing and retaining NULL is allowed; functions that report a
///   status refuse it; accessors, which return what an object holds, need an object.
/// - Threads: see context.h. Objects are immutable and may be shared; a context is used by one thread at a time.
/// - Determinism: same inputs and options give the same bits, whatever the thread count, the run or the batch
///   composition; float32 convolution and linear also at every CPU level.
/// - Options: a struct whose first field is its own size; NULL or zero fields mean defaults. `_INIT` macros fill the
///   size. A larger struct than the library knows is refused unless the unknown tail is zero.
#ifndef LATTICE_LATTICE_H
#define LATTICE_LATTICE_H

#include <lattice/activation.h>
#include <lattice/algebra.h>
#include <lattice/array.h>
#include <lattice/codec.h>
#include <lattice/context.h>
#include <lattice/conv.h>
#include <lattice/conv_normalized.h>
#include <lattice/conv_transpose.h>
#include <lattice/coords.h>
#include <lattice/dense.h>
#include <lattice/dlpack.h>
#include <lattice/entropy.h>
#include <lattice/explain.h>
#include <lattice/feature.h>
#include <lattice/io.h>
#include <lattice/model.h>
#include <lattice/model_params.h>
#include <lattice/nn.h>
#include <lattice/nn_options.h>
#include <lattice/norm.h>
#include <lattice/plan.h>
#include <lattice/points.h>
#include <lattice/pool.h>
#include <lattice/program.h>
#include <lattice/quant.h>
#include <lattice/relation.h>
#include <lattice/relation_views.h>
#include <lattice/safetensors.h>
#include <lattice/sparse_create.h>
#include <lattice/status.h>
#include <lattice/tensor.h>
#include <lattice/version.h>
#include <lattice/zoo.h>

#endif
