// lat_subm_conv3d: convolution whose output support is the input's own.

#include <lattice/conv.h>

#include "coords/tensor_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/conv_common.h"

static lat_status check_options(const char *op, const lat_conv3d_opts *opts, lat__geometry *geometry) {
  lat_status status = LAT_STATUS_OK;
  lat_conv3d_opts o;
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  lat_kernel_opts kernel = {sizeof kernel, o.kernel_size, o.stride, o.padding, o.dilation};
  LAT_TRY(lat__geometry_check(op, &kernel, NULL, geometry), done);
  LAT_TRY(lat__geometry_check_subm(op, geometry), done);
  if (o.coordinates) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: coordinates must be NULL: got a coordinate set, expected none (the output set is x's)", op);
  }
done:
  return status;
}

lat_status lat_subm_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                           const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const char op[] = "subm_conv3d";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat__conv_operands operands = {.op = op};
  lat_relation *relation = NULL;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_options(op, opts, &geometry), done);
  LAT_TRY(lat__conv_open(context, op, x, weight, bias, &geometry, &operands), done);
  if (!lat__geometry_pointwise(&geometry)) {
    LAT_TRY(lat__relation_subm(context, op, x->coords, &geometry, &relation), done);
  }
  LAT_TRY(lat__conv_run(context, &operands, relation, x->coords, out), done);
done:
  lat_relation_release(relation);
  lat__conv_close(&operands);
  return status;
}
