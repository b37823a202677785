// Voxel features read at points: a short weighted sum of feature rows for each point.

#include "backend/cpu/cpu_backend.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/thread.h"

#define POINT_GRAIN 1024

/// Channels that one pass over the slots of a 16-bit point accumulates.
#define CHANNEL_BLOCK 32

/// float32 sums are kept in the result itself.
static void interpolate_point_f32(const lat__interpolate_desc *desc, int64_t p) {
  const int64_t channels = desc->channels;
  float *y = (float *)desc->y + p * channels;
  for (int64_t c = 0; c < channels; c++) y[c] = 0.0f;
  for (int64_t slot = p * desc->n_slots; slot < (p + 1) * desc->n_slots; slot++) {
    if (desc->rows[slot] < 0) continue;
    const float *x = (const float *)desc->x + desc->rows[slot] * channels;
    float weight = desc->weights ? desc->weights[slot] : 1.0f;
    for (int64_t c = 0; c < channels; c++) y[c] += weight * x[c];
  }
}

static void interpolate_point_16bit(const lat__interpolate_desc *desc, int64_t p) {
  for (int64_t first = 0; first < desc->channels; first += CHANNEL_BLOCK) {
    int64_t count = lat__min_i64(CHANNEL_BLOCK, desc->channels - first);
    float sums[CHANNEL_BLOCK] = {0};
    for (int64_t slot = p * desc->n_slots; slot < (p + 1) * desc->n_slots; slot++) {
      if (desc->rows[slot] < 0) continue;
      int64_t at = desc->rows[slot] * desc->channels + first;
      float weight = desc->weights ? desc->weights[slot] : 1.0f;
      for (int64_t c = 0; c < count; c++) sums[c] += weight * lat__float_load(desc->dtype, desc->x, at + c);
    }
    for (int64_t c = 0; c < count; c++) lat__float_store(desc->dtype, desc->y, p * desc->channels + first + c, sums[c]);
  }
}

static void interpolate_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__interpolate_desc *desc = arg;
  (void)worker;
  for (int64_t p = begin; p < end; p++) {
    if (desc->dtype == LAT_DTYPE_F32) {
      interpolate_point_f32(desc, p);
    } else {
      interpolate_point_16bit(desc, p);
    }
  }
}

lat_status lat__cpu_interpolate(lat_context *context, const lat__interpolate_desc *desc) {
  lat__interpolate_desc job = *desc;
  lat__parallel_for(context, desc->n_points, POINT_GRAIN, interpolate_range, &job);
  return LAT_STATUS_OK;
}
