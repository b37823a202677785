// Rows of two operands combined element by element:
//
//     y[r] = lhs[lhs_rows[r]] op rhs[rhs_rows[r]]        a row number of -1 stands for a row of its side's fill
//
// Rows are prefetched JOIN_AHEAD rows before they are read.

#define JOIN_AHEAD 8
#define JOIN_LINE 64

/// One operand of one row: where it is, or NULL for the fill.
typedef struct join_operand {
  lat_dtype dtype;
  const void *row;
  float fill;
} join_operand;

static LAT_ALWAYS_INLINE vf32 join_combine(const lat__join_op op, vf32 a, vf32 b) {
  switch (op) {
  case LAT__JOIN_ADD:
    return a + b;
  case LAT__JOIN_SUB:
    return a - b;
  case LAT__JOIN_MUL:
    return a * b;
  case LAT__JOIN_MAX: // NaN wins
    return v_where_nan(a, v_max(a, b));
  default:
    return v_where_nan(a, v_min(a, b));
  }
}

static LAT_ALWAYS_INLINE vf32 join_load(const join_operand *side, const bool is_there, int64_t c, int64_t n,
                                        const bool whole) {
  return is_there ? elements_load_n(side->dtype, side->row, c, n, whole) : v_set1(side->fill);
}

/// One row; who is there is a constant where this is inlined.
static LAT_ALWAYS_INLINE void join_row(const lat__join_op op, const join_operand *lhs, const bool has_lhs,
                                       const join_operand *rhs, const bool has_rhs, int64_t channels,
                                       const lat_dtype dtype_out, void *y) {
  int64_t c = 0;
  for (; c + V_LANES <= channels; c += V_LANES) {
    vf32 a = join_load(lhs, has_lhs, c, V_LANES, true), b = join_load(rhs, has_rhs, c, V_LANES, true);
    elements_store(dtype_out, y, c, join_combine(op, a, b));
  }
  int64_t n = channels - c;
  if (n == 0) return;
  vf32 a = join_load(lhs, has_lhs, c, n, false), b = join_load(rhs, has_rhs, c, n, false);
  elements_store_n(dtype_out, y, c, join_combine(op, a, b), n, false);
}

static LAT_ALWAYS_INLINE const void *join_find(const void *x, const int32_t *rows, int64_t r, int64_t row_bytes) {
  int64_t row = rows ? rows[r] : r;
  return row < 0 ? NULL : (const char *)x + row * row_bytes;
}

static LAT_ALWAYS_INLINE void join_prefetch(const void *x, const int32_t *rows, int64_t r, int64_t row_bytes) {
  const char *row = rows ? join_find(x, rows, r, row_bytes) : NULL;
  for (int64_t at = 0; row && at < row_bytes; at += JOIN_LINE) __builtin_prefetch(row + at);
}

static LAT_ALWAYS_INLINE void join_all(const lat__join_args *args, const lat__join_op op, const lat_dtype lhs_dtype,
                                       const lat_dtype rhs_dtype, const lat_dtype dtype_out) {
  const lat__join_args copy = *args; // stores to y cannot change it
  const int64_t channels = copy.channels;
  const int64_t lhs_bytes = channels * (int64_t)(lhs_dtype == LAT_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t));
  const int64_t rhs_bytes = channels * (int64_t)(rhs_dtype == LAT_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t));
  const int64_t y_bytes = channels * (int64_t)(dtype_out == LAT_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t));
  join_operand lhs = {lhs_dtype, NULL, copy.lhs_fill}, rhs = {rhs_dtype, NULL, copy.rhs_fill};
  for (int64_t r = 0; r < copy.n_rows; r++) {
    void *y = (char *)copy.y + r * y_bytes;
    lhs.row = join_find(copy.lhs, copy.lhs_rows, r, lhs_bytes);
    rhs.row = join_find(copy.rhs, copy.rhs_rows, r, rhs_bytes);
    if (r + JOIN_AHEAD < copy.n_rows) {
      join_prefetch(copy.lhs, copy.lhs_rows, r + JOIN_AHEAD, lhs_bytes);
      join_prefetch(copy.rhs, copy.rhs_rows, r + JOIN_AHEAD, rhs_bytes);
    }
    if (lhs.row && rhs.row) {
      join_row(op, &lhs, true, &rhs, true, channels, dtype_out, y);
    } else if (lhs.row) {
      join_row(op, &lhs, true, &rhs, false, channels, dtype_out, y);
    } else if (rhs.row) {
      join_row(op, &lhs, false, &rhs, true, channels, dtype_out, y);
    } else {
      join_row(op, &lhs, false, &rhs, false, channels, dtype_out, y);
    }
  }
}

/// Like dtypes are constants; unlike ones, which give float32, are asked for at every vector.
static LAT_ALWAYS_INLINE void join_dtypes(const lat__join_args *args, const lat__join_op op) {
  const lat_dtype dtype = args->lhs_dtype;
  if (args->rhs_dtype != dtype || args->dtype_out != dtype) {
    join_all(args, op, args->lhs_dtype, args->rhs_dtype, args->dtype_out);
  } else if (dtype == LAT_DTYPE_F32) {
    join_all(args, op, LAT_DTYPE_F32, LAT_DTYPE_F32, LAT_DTYPE_F32);
  } else if (dtype == LAT_DTYPE_F16) {
    join_all(args, op, LAT_DTYPE_F16, LAT_DTYPE_F16, LAT_DTYPE_F16);
  } else {
    join_all(args, op, LAT_DTYPE_BF16, LAT_DTYPE_BF16, LAT_DTYPE_BF16);
  }
}

static void KERNEL(join_rows)(const lat__join_args *args) {
  switch (args->op) {
  case LAT__JOIN_ADD:
    join_dtypes(args, LAT__JOIN_ADD);
    return;
  case LAT__JOIN_SUB:
    join_dtypes(args, LAT__JOIN_SUB);
    return;
  case LAT__JOIN_MUL:
    join_dtypes(args, LAT__JOIN_MUL);
    return;
  case LAT__JOIN_MAX:
    join_dtypes(args, LAT__JOIN_MAX);
    return;
  case LAT__JOIN_MIN:
    join_dtypes(args, LAT__JOIN_MIN);
    return;
  }
}

#undef JOIN_AHEAD
#undef JOIN_LINE
