// Vectors of features in and out of float32, whatever their dtype. `dtype` is a constant where these are inlined, and so
// is `whole`: all lanes, else the first n in [0, V_LANES).

static LAT_ALWAYS_INLINE vf32 elements_load(const lat_dtype dtype, const void *x, int64_t i) {
  if (dtype == LAT_DTYPE_F32) return v_load((const float *)x + i);
  return dtype == LAT_DTYPE_F16 ? v_load_f16((const uint16_t *)x + i) : v_load_bf16((const uint16_t *)x + i);
}

static LAT_ALWAYS_INLINE vf32 elements_load_n(const lat_dtype dtype, const void *x, int64_t i, int64_t n,
                                              const bool whole) {
  if (whole) return elements_load(dtype, x, i);
  if (dtype == LAT_DTYPE_F32) return v_load_n((const float *)x + i, n);
  return dtype == LAT_DTYPE_F16 ? v_load_f16_n((const uint16_t *)x + i, n) : v_load_bf16_n((const uint16_t *)x + i, n);
}

static LAT_ALWAYS_INLINE void elements_store(const lat_dtype dtype, void *y, int64_t i, vf32 value) {
  if (dtype == LAT_DTYPE_F32) {
    v_store((float *)y + i, value);
  } else if (dtype == LAT_DTYPE_F16) {
    v_store_f16((uint16_t *)y + i, value);
  } else {
    v_store_bf16((uint16_t *)y + i, value);
  }
}

static LAT_ALWAYS_INLINE void elements_store_n(const lat_dtype dtype, void *y, int64_t i, vf32 value, int64_t n,
                                               const bool whole) {
  if (whole) {
    elements_store(dtype, y, i, value);
  } else if (dtype == LAT_DTYPE_F32) {
    v_store_n((float *)y + i, value, n);
  } else if (dtype == LAT_DTYPE_F16) {
    v_store_f16_n((uint16_t *)y + i, value, n);
  } else {
    v_store_bf16_n((uint16_t *)y + i, value, n);
  }
}
