// y[r] = x[rows[r]]: rows copied whole, whatever their dtype.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"
#include "core/thread.h"

#define GRAIN_BYTES ((int64_t)64 << 10)
#define PREFETCH_AHEAD 8

static void gather_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__gather_desc *desc = arg;
  size_t bytes = (size_t)desc->row_bytes;
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    char *target = (char *)desc->y + r * desc->row_bytes;
    int64_t row = desc->rows[r];
    int64_t later = r + PREFETCH_AHEAD < end ? desc->rows[r + PREFETCH_AHEAD] : -1;
    if (later >= 0) __builtin_prefetch((const char *)desc->x + later * desc->row_bytes);
    if (row < 0) {
      memset(target, 0, bytes);
    } else {
      memcpy(target, (const char *)desc->x + row * desc->row_bytes, bytes);
    }
  }
}

lat_status lat__cpu_gather(lat_context *context, const lat__gather_desc *desc) {
  if (desc->row_bytes == 0) return LAT_STATUS_OK;
  lat__gather_desc copy = *desc;
  lat__parallel_for(context, desc->n_rows, lat__max_i64(1, GRAIN_BYTES / desc->row_bytes), gather_range, &copy);
  return LAT_STATUS_OK;
}
