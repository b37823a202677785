// Packs the weight of a parameter into int4 or int8.
#include <lattice/quant.h>

#include "core/compiler.h"
#include "model/graph.h"

/// Copies a view into one of a parameter's places.
static lat_status put(lat_context *context, lat_array **place, const lat_array_view *view) {
  lat_array *array = NULL;
  lat_status status = lat_array_create(context, view, &array);
  if (!status) lat__parameter_set(place, array);
  lat_array_release(array);
  return status;
}

lat_status lat__parameter_pack(lat_context *context, lat__parameter *parameter, const lat_array_view *weight) {
  lat_status status = LAT_STATUS_OK;
  lat_quantized_weight *packed = NULL;
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  opts.bits = parameter->packing.bits;
  opts.group_size = parameter->packing.group_size;
  LAT_TRY(lat_quantize_weight(context, weight, &opts, &packed), done);
  lat_quantized_info info = lat_quantized_weight_info(packed);
  LAT_TRY(put(context, &parameter->words, &info.words), done);
  LAT_TRY(put(context, &parameter->scales, &info.scales), done);
  LAT_TRY(put(context, &parameter->biases, &info.biases), done);
  lat__parameter_set(&parameter->dense, NULL);
done:
  lat_quantized_weight_release(packed);
  return status;
}
