// Voxel features read at points: a short weighted sum of feature rows for each point.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define POINT_GRAIN 1024

/// Channels that one pass over a point's slots accumulates.
#define CHANNEL_BLOCK 32

static LAT_ALWAYS_INLINE void add_row(const lat__interpolate_desc *desc, int64_t first, int64_t count, float weight,
                                      float *sums) {
  if (desc->dtype == LAT_DTYPE_F32) {
    const float *x = (const float *)desc->x + first;
    for (int64_t c = 0; c < count; c++) sums[c] += weight * x[c];
  } else {
    const uint16_t *x = (const uint16_t *)desc->x + first;
    for (int64_t c = 0; c < count; c++) sums[c] += weight * lat_f16_to_f32(x[c]);
  }
}

static void interpolate_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__interpolate_desc *desc = arg;
  (void)worker;
  for (int64_t p = begin; p < end; p++) {
    for (int64_t c = 0; c < desc->channels; c += CHANNEL_BLOCK) {
      int64_t count = lat__min_i64(CHANNEL_BLOCK, desc->channels - c);
      float sums[CHANNEL_BLOCK] = {0};
      for (int64_t slot = p * desc->n_slots; slot < (p + 1) * desc->n_slots; slot++) {
        if (desc->rows[slot] < 0) continue;
        add_row(desc, (int64_t)desc->rows[slot] * desc->channels + c, count, desc->weights ? desc->weights[slot] : 1.0f,
                sums);
      }
      if (desc->dtype == LAT_DTYPE_F32) {
        memcpy((float *)desc->y + p * desc->channels + c, sums, (size_t)count * sizeof(float));
      } else {
        uint16_t *y = (uint16_t *)desc->y + p * desc->channels + c;
        for (int64_t i = 0; i < count; i++) y[i] = lat_f32_to_f16(sums[i]);
      }
    }
  }
}

lat_status lat__cpu_interpolate(lat_context *context, const lat__interpolate_desc *desc) {
  lat__interpolate_desc job = *desc;
  lat__parallel_for(context, desc->n_points, POINT_GRAIN, interpolate_range, &job);
  return LAT_STATUS_OK;
}
