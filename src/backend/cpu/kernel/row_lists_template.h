// Pools: every output row is the reduction of a list of input rows.
//
//     y[r][c] = finish( reduce over the entries e of row r, ascending, of weight(e) * x[rows[e]][c] )
//
//     entries of row r    ──┬─ row rows[e]     ▓▓▓▓ ▓▓▓▓ ▓▓▓▓ ▓▓▓▓ │ ...      a strip of `n` vectors of channels stays in
//                           ├─ row rows[e+1]   ▓▓▓▓ ▓▓▓▓ ▓▓▓▓ ▓▓▓▓ │ ...      registers while the list is walked
//                           └─ ...
//
// Rows are prefetched LIST_AHEAD entries before they are read, across lists.

#define LIST_AHEAD 12
#define LIST_LINE 64
#define LIST_STRIP 8

/// One strip: `n` vectors from channel c, or the last `tail` channels when tail > 0 (then n is 1).
static LAT_ALWAYS_INLINE void list_strip(const lat__row_lists_args *args, const lat_dtype dtype, const bool is_max,
                                         int64_t r, int64_t c, const int n, int64_t tail) {
  const bool whole = tail == 0;
  const int64_t element = dtype == LAT_DTYPE_F32 ? 4 : 2, line = LIST_LINE / element;
  const int32_t begin = args->begins[r], end = args->begins[r + 1];
  vf32 sums[LIST_STRIP];
  KERNEL_UNROLL
  for (int v = 0; v < n; v++) sums[v] = v_set1(is_max ? -INFINITY : 0.0f);
  for (int32_t e = begin; e < end; e++) {
    const int64_t row = args->rows ? args->rows[e] : e;
    if (args->rows && e + LIST_AHEAD < args->n_entries) {
      const char *next = (const char *)args->x + (args->rows[e + LIST_AHEAD] * args->x_stride + c) * element;
      KERNEL_UNROLL
      for (int64_t at = 0; at < n * V_LANES; at += line) __builtin_prefetch(next + at * element);
    }
    KERNEL_UNROLL
    for (int v = 0; v < n; v++) {
      vf32 value = elements_load_n(dtype, args->x, row * args->x_stride + c + v * V_LANES, tail, whole);
      if (is_max) {
        sums[v] = v_where_nan(value, v_max(value, sums[v])); // NaN wins: nothing is above it
        continue;
      }
      if (args->weights) value = v_set1(args->weights[e]) * value;
      if (args->row_weights) value = value * v_set1(args->row_weights[r]);
      sums[v] = sums[v] + value;
    }
  }
  KERNEL_UNROLL
  for (int v = 0; v < n; v++) {
    if (args->factors) sums[v] = sums[v] * v_set1(args->factors[r]);
    if (args->divisors) sums[v] = sums[v] / v_set1(args->divisors[r]);
    const int64_t y_row = args->out_rows ? args->out_rows[r] : r;
    elements_store_n(args->dtype_out, args->y, y_row * args->channels + c + v * V_LANES, sums[v], tail, whole);
  }
}

static LAT_ALWAYS_INLINE void list_rows(const lat__row_lists_args *args, const lat_dtype dtype, const bool is_max) {
  const lat__row_lists_args copy = *args; // stores to y cannot change it
  const int64_t channels = copy.channels;
  for (int64_t r = 0; r < copy.n_rows; r++) {
    int64_t c = 0;
    for (; c + 8 * V_LANES <= channels; c += 8 * V_LANES) list_strip(&copy, dtype, is_max, r, c, 8, 0);
    for (; c + 4 * V_LANES <= channels; c += 4 * V_LANES) list_strip(&copy, dtype, is_max, r, c, 4, 0);
    for (; c + V_LANES <= channels; c += V_LANES) list_strip(&copy, dtype, is_max, r, c, 1, 0);
    if (c < channels) list_strip(&copy, dtype, is_max, r, c, 1, channels - c);
  }
}

/// With the steps that are not there taken out at compile time, for the two kinds that networks run.
static LAT_ALWAYS_INLINE void list_rows_of(const lat__row_lists_args *args, const lat_dtype dtype, const bool is_max) {
  lat__row_lists_args plain = *args;
  if (args->weights || args->row_weights || args->divisors) {
    list_rows(args, dtype, is_max);
  } else {
    plain.weights = plain.row_weights = plain.divisors = NULL;
    list_rows(&plain, dtype, is_max);
  }
}

static void KERNEL(sum_lists)(const lat__row_lists_args *args) {
  if (args->dtype == LAT_DTYPE_F32) {
    list_rows_of(args, LAT_DTYPE_F32, false);
  } else if (args->dtype == LAT_DTYPE_F16) {
    list_rows_of(args, LAT_DTYPE_F16, false);
  } else {
    list_rows_of(args, LAT_DTYPE_BF16, false);
  }
}

static void KERNEL(max_lists)(const lat__row_lists_args *args) {
  lat__row_lists_args plain = *args;
  plain.weights = plain.row_weights = plain.factors = plain.divisors = NULL;
  if (args->dtype == LAT_DTYPE_F32) {
    list_rows(&plain, LAT_DTYPE_F32, true);
  } else if (args->dtype == LAT_DTYPE_F16) {
    list_rows(&plain, LAT_DTYPE_F16, true);
  } else {
    list_rows(&plain, LAT_DTYPE_BF16, true);
  }
}

#undef LIST_AHEAD
#undef LIST_LINE
#undef LIST_STRIP
