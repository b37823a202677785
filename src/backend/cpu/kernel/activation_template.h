// Activations in float32, whole vectors at a time, any feature dtype: elements are widened on load and rounded on store.
//
// All but relu and leaky_relu are built on exp(-y) for y >= 0, which is formed as exp(-y) 2^64 and scaled down with the last
// product, so that results below the normal range are rounded once:
//
//     k = round(-y / ln 2);  r = -y - k ln 2 (ln 2 in two parts);  exp(r) = 1 + r + r^2 p(r);  k + 64 into the exponent
//
// y is a product of known factors where a rounded y would not do: an error of one ulp in y = 100 would be an error of 100
// ulp in exp(-y), but fma(-a, b, -k ln 2) loses nothing. ACTIVATION_VECTORS vectors advance step by step together, which hides the
// latency of the chains. Every fma is written out, so every level gives the same bits. Errors: docs/numerics.md.

#define ACTIVATION_VECTORS 4
#define ACTIVATION_ELEMENTS (ACTIVATION_VECTORS * V_LANES)

/// Adding it leaves the rounded integer in the low bits, 64 more than it is.
#define ACTIVATION_MAGIC (0x1.8p23f + 64.0f)
#define ACTIVATION_LN2_HIGH 0x1.62e4p-1f // 15 bits: its product with a small integer is exact
#define ACTIVATION_LN2_LOW 0x1.7f7d1cp-20f

/// Before each loop over the vectors of a step.
#define ACTIVATION_EACH                                                                                                \
  KERNEL_UNROLL                                                                                                        \
  for (int v = 0; v < ACTIVATION_VECTORS; v++)

/// p = the polynomial with `n` coefficients, highest first, at t.
static LAT_ALWAYS_INLINE void activation_polynomial(const float *terms, const int n, const vf32 *t, vf32 *p) {
  ACTIVATION_EACH p[v] = v_set1(terms[0]);
  KERNEL_UNROLL
  for (int i = 1; i < n; i++) {
    ACTIVATION_EACH p[v] = v_fma(p[v], t[v], v_set1(terms[i]));
  }
}

/// (exp(r) - 1) / r for |r| <= ln 2 / 2; times r and plus 1 it is good to 0.05 u.
static LAT_ALWAYS_INLINE void activation_exp_series(const vf32 *r, vf32 *p) {
  static const float terms[] = {0x1.6db42ap-10f, 0x1.123b56p-7f, 0x1.55545ep-5f, 0x1.55548ep-3f, 0.5f, 1.0f};
  activation_polynomial(terms, 6, r, p);
}

/// k = round(-y / ln 2) for 0 <= y <= 115, and in the low bits of `shifted` k + 64.
static LAT_ALWAYS_INLINE void activation_steps(const vf32 *y, vf32 *shifted, vf32 *k) {
  ACTIVATION_EACH shifted[v] = v_fma(y[v], v_set1(-0x1.715476p+0f), v_set1(ACTIVATION_MAGIC));
  ACTIVATION_EACH k[v] = shifted[v] - v_set1(ACTIVATION_MAGIC);
}

/// e = exp(r + k ln 2) 2^64 from `shifted` of k.
static LAT_ALWAYS_INLINE void activation_exp_scaled(const vf32 *r, const vf32 *shifted, vf32 *e) {
  activation_exp_series(r, e);
  ACTIVATION_EACH e[v] = v_scale(v_fma(e[v], r[v], v_set1(1.0f)), shifted[v]);
}

/// e = exp(-a b - a b_low) 2^64. `b_low` NULL: 0.
static LAT_ALWAYS_INLINE void activation_exp_product(const vf32 *a, const vf32 *b, const vf32 *b_low, vf32 *e) {
  vf32 y[ACTIVATION_VECTORS], shifted[ACTIVATION_VECTORS], k[ACTIVATION_VECTORS];
  ACTIVATION_EACH y[v] = a[v] * b[v];
  activation_steps(y, shifted, k);
  ACTIVATION_EACH y[v] = v_fma(-b[v], a[v], k[v] * v_set1(-ACTIVATION_LN2_HIGH));
  ACTIVATION_EACH y[v] = v_fma(k[v], v_set1(-ACTIVATION_LN2_LOW), y[v]);
  if (b_low) {
    ACTIVATION_EACH y[v] = v_fma(-b_low[v], a[v], y[v]);
  }
  activation_exp_scaled(y, shifted, e);
}

/// e = exp(-a) 2^64 for 0 <= a <= 115.
static LAT_ALWAYS_INLINE void activation_exp_minus(const vf32 *a, vf32 *e) {
  vf32 r[ACTIVATION_VECTORS], shifted[ACTIVATION_VECTORS], k[ACTIVATION_VECTORS];
  activation_steps(a, shifted, k);
  ACTIVATION_EACH r[v] = v_fma(k[v], v_set1(-ACTIVATION_LN2_HIGH), -a[v]);
  ACTIVATION_EACH r[v] = v_fma(k[v], v_set1(-ACTIVATION_LN2_LOW), r[v]);
  activation_exp_scaled(r, shifted, e);
}

/// a = min(|x|, limit); a NaN gives the limit, so that none runs through the integer steps.
static LAT_ALWAYS_INLINE void activation_magnitude(const vf32 *x, float limit, vf32 *a) {
  ACTIVATION_EACH a[v] = v_min(v_abs(x[v]), v_set1(limit));
}

/// e = exp(-a^2 / 2) 2^64. Twice the exponent runs through the steps, with terms that are halved as often: the same bits, one
/// product less.
static LAT_ALWAYS_INLINE void activation_exp_half_square(const vf32 *a, vf32 *e) {
  static const float terms[] = {0x1.6db42ap-16f, 0x1.123b56p-12f, 0x1.55545ep-9f, 0x1.55548ep-6f, 0.125f, 0.5f, 1.0f};
  vf32 r[ACTIVATION_VECTORS], shifted[ACTIVATION_VECTORS], k[ACTIVATION_VECTORS];
  ACTIVATION_EACH r[v] = a[v] * a[v];
  ACTIVATION_EACH shifted[v] = v_fma(r[v], v_set1(-0x1.715476p-1f), v_set1(ACTIVATION_MAGIC));
  ACTIVATION_EACH k[v] = shifted[v] - v_set1(ACTIVATION_MAGIC);
  ACTIVATION_EACH r[v] = v_fma(-a[v], a[v], k[v] * v_set1(-2.0f * ACTIVATION_LN2_HIGH));
  ACTIVATION_EACH r[v] = v_fma(k[v], v_set1(-2.0f * ACTIVATION_LN2_LOW), r[v]);
  activation_polynomial(terms, 7, r, e);
  ACTIVATION_EACH e[v] = v_scale(e[v], shifted[v]);
}

/// x Phi(x). With a = |x|: Phi(-a) = exp(-a^2 / 2) M(a), where M(a) = erfcx(a / sqrt 2) / 2 is smooth: (a + 2.5) M(a) is a
/// polynomial of degree 9 in u = a / (a + 2.5), and x Phi(x) = max(x, 0) - a Phi(-a).
static LAT_ALWAYS_INLINE void activation_gelu_erf(vf32 *x) {
  static const float terms[] = {-0x1.4a0280p-4f, 0x1.21b9f8p-2f, -0x1.46af08p-2f, 0x1.25eb20p-3f,  -0x1.394084p-3f,
                                0x1.d4521ap-5f,  0x1.2aa18ep-2f, 0x1.5b68dap-3f,  -0x1.3e4f0ap+0f, 0x1.4p+0f};
  vf32 a[ACTIVATION_VECTORS], e[ACTIVATION_VECTORS], p[ACTIVATION_VECTORS];
  activation_magnitude(x, 15.0f, a); // from 14.5 on exp(-a^2 / 2) is 0 in float32
  activation_exp_half_square(a, e);
  ACTIVATION_EACH a[v] = a[v] / (a[v] + v_set1(2.5f));
  activation_polynomial(terms, 10, a, p);
  ACTIVATION_EACH e[v] = e[v] * a[v];
  ACTIVATION_EACH e[v] = e[v] * p[v];
  ACTIVATION_EACH x[v] = v_fma(e[v], v_set1(-0x1p-64f), v_max(v_set1(-0.0f), x[v]));
}

/// x / (1 + exp(-y)) for the sign of x, from a = min(|x|, limit) and e = exp(-y) 2^64 where y >= 0 belongs to a.
static LAT_ALWAYS_INLINE void activation_logistic(vf32 *x, const vf32 *a, const vf32 *e) {
  ACTIVATION_EACH {
    vf32 zero = v_set1(0.0f), divisor = v_fma(e[v], v_set1(0x1p-64f), v_set1(1.0f));
    vf32 quotient = v_where_above(zero, x[v], a[v] * e[v], x[v]) / divisor;
    x[v] = quotient * v_where_above(zero, x[v], v_set1(-0x1p-64f), v_set1(1.0f));
  }
}

static LAT_ALWAYS_INLINE void activation_silu(vf32 *x) {
  vf32 a[ACTIVATION_VECTORS], e[ACTIVATION_VECTORS];
  activation_magnitude(x, 110.0f, a); // 110 exp(-110) is 0 in float32
  activation_exp_minus(a, e);
  activation_logistic(x, a, e);
}

/// x sigmoid(1.702 x).
static LAT_ALWAYS_INLINE void activation_gelu_fast(vf32 *x) {
  vf32 a[ACTIVATION_VECTORS], b[ACTIVATION_VECTORS], b_low[ACTIVATION_VECTORS], e[ACTIVATION_VECTORS];
  activation_magnitude(x, 64.0f, a); // exp(-1.702 * 64) is 0 in float32
  ACTIVATION_EACH b[v] = v_set1(1.702f);
  ACTIVATION_EACH b_low[v] = v_set1(-0x1.78d4fep-26f);
  activation_exp_product(a, b, b_low, e);
  activation_logistic(x, a, e);
}

/// x sigmoid(y) with y = 2 sqrt(2 / pi) (x + 0.044715 x^3) = x (B0 + B1 x^2), since (1 + tanh u) / 2 = sigmoid(2 u).
static LAT_ALWAYS_INLINE void activation_gelu_tanh(vf32 *x) {
  const vf32 b0 = v_set1(0x1.988454p+0f), b0_low = v_set1(-0x1.857936p-25f); // 2 sqrt(2 / pi)
  const vf32 b1 = v_set1(0x1.2444f2p-4f), b1_low = v_set1(0x1.49b16ap-29f);  // 0.044715 times that
  vf32 a[ACTIVATION_VECTORS], q[ACTIVATION_VECTORS], q_low[ACTIVATION_VECTORS], e[ACTIVATION_VECTORS];
  activation_magnitude(x, 11.0f, a); // y(11) = 112.5, beyond the range of exp(-y)
  ACTIVATION_EACH {
    vf32 square = a[v] * a[v];
    vf32 square_low = v_fma(a[v], a[v], -square);
    vf32 p = b1 * square;
    vf32 p_low = v_fma(b1_low, square, v_fma(b1, square_low, v_fma(b1, square, -p)));
    q[v] = b0 + p;
    vf32 back = q[v] - b0;
    q_low[v] = ((b0 - (q[v] - back)) + (p - back)) + (p_low + b0_low);
  }
  activation_exp_product(a, q, q_low, e);
  activation_logistic(x, a, e);
}

/// 1 / (1 + exp(-x)).
static LAT_ALWAYS_INLINE void activation_sigmoid(vf32 *x) {
  vf32 a[ACTIVATION_VECTORS], e[ACTIVATION_VECTORS];
  activation_magnitude(x, 104.0f, a); // exp(-104) is 0 in float32
  activation_exp_minus(a, e);
  ACTIVATION_EACH {
    vf32 divisor = v_fma(e[v], v_set1(0x1p-64f), v_set1(1.0f));
    vf32 value = v_where_above(v_set1(0.0f), x[v], e[v], v_set1(0x1p64f)) / divisor * v_set1(0x1p-64f);
    x[v] = v_where_nan(x[v], value);
  }
}

/// -(exp(-2a) - 1) / (exp(-2a) + 1) with the sign of x; exp(-2a) - 1 = 2^k (exp(r) - 1) + (2^k - 1) keeps small results.
static LAT_ALWAYS_INLINE void activation_tanh(vf32 *x) {
  vf32 a[ACTIVATION_VECTORS], r[ACTIVATION_VECTORS], shifted[ACTIVATION_VECTORS], k[ACTIVATION_VECTORS];
  activation_magnitude(x, 10.0f, a); // from 9.02 on the result is 1
  ACTIVATION_EACH a[v] = a[v] + a[v];
  activation_steps(a, shifted, k);
  ACTIVATION_EACH r[v] = v_fma(k[v], v_set1(-ACTIVATION_LN2_HIGH), -a[v]);
  ACTIVATION_EACH r[v] = v_fma(k[v], v_set1(-ACTIVATION_LN2_LOW), r[v]);
  activation_exp_series(r, a);
  ACTIVATION_EACH {
    vf32 one = v_set1(1.0f), power = v_scale(v_set1(0x1p-64f), shifted[v]);
    vf32 below = v_fma(a[v] * r[v], power, power - one);
    x[v] = v_where_nan(x[v], v_sign_of(below / (below + v_set1(2.0f)), x[v]));
  }
}

/// (max(s, 0) + log(1 + e)) / beta for s = beta x and e = exp(-|s|); log(1 + e) / e is a polynomial of degree 9.
static LAT_ALWAYS_INLINE void activation_softplus(const lat__activation_args *args, vf32 *x) {
  static const float terms[] = {-0x1.a9335ap-9f, 0x1.453f08p-6f,  -0x1.d29cc4p-5f, 0x1.b2535cp-4f,  -0x1.397562p-3f,
                                0x1.92f696p-3f,  -0x1.ff0f88p-3f, 0x1.554c80p-2f,  -0x1.ffffbep-2f, 1.0f};
  const vf32 zero = v_set1(0.0f), beta = v_set1(args->beta), threshold = v_set1(args->threshold);
  vf32 a[ACTIVATION_VECTORS], e[ACTIVATION_VECTORS], p[ACTIVATION_VECTORS], b[ACTIVATION_VECTORS];
  if (args->beta == 1.0f) {
    activation_magnitude(x, 110.0f, a);
    activation_exp_minus(a, e);
  } else {
    activation_magnitude(x, 110.0f / args->beta, a);
    ACTIVATION_EACH b[v] = beta;
    activation_exp_product(a, b, NULL, e);
  }
  ACTIVATION_EACH a[v] = e[v] * v_set1(0x1p-64f);
  activation_polynomial(terms, 10, a, p);
  ACTIVATION_EACH p[v] = v_fma(e[v] * p[v], v_set1(0x1p-64f), v_relu(x[v] * beta));
  if (args->beta == 1.0f) {
    ACTIVATION_EACH x[v] = v_where_above(x[v], threshold, x[v], p[v]);
    return;
  }
  ACTIVATION_EACH {
    vf32 s = x[v] * beta, s_low = v_fma(x[v], beta, -s); // s > threshold without rounding
    vf32 value = p[v] / beta;
    vf32 beyond = v_where_above(threshold, s, value, v_where_above(s_low, zero, x[v], value));
    x[v] = v_where_above(s, threshold, x[v], beyond);
  }
}

/// exp(x): 2^64 is taken out of small results and 2^-64 out of large ones, and put back by the last product.
static LAT_ALWAYS_INLINE void activation_exp(vf32 *x) {
  const vf32 zero = v_set1(0.0f);
  vf32 a[ACTIVATION_VECTORS], k[ACTIVATION_VECTORS], r[ACTIVATION_VECTORS], shifted[ACTIVATION_VECTORS];
  ACTIVATION_EACH a[v] = v_max(v_min(x[v], v_set1(89.0f)), v_set1(-104.0f));
  ACTIVATION_EACH {
    vf32 magic = v_where_above(zero, x[v], v_set1(0x1.8p23f + 64.0f), v_set1(0x1.8p23f - 64.0f));
    shifted[v] = v_fma(a[v], v_set1(0x1.715476p+0f), magic);
    k[v] = shifted[v] - magic;
  }
  ACTIVATION_EACH r[v] = v_fma(k[v], v_set1(-ACTIVATION_LN2_HIGH), a[v]);
  ACTIVATION_EACH r[v] = v_fma(k[v], v_set1(-ACTIVATION_LN2_LOW), r[v]);
  activation_exp_scaled(r, shifted, a);
  ACTIVATION_EACH x[v] = v_where_nan(x[v], a[v] * v_where_above(zero, x[v], v_set1(0x1p-64f), v_set1(0x1p64f)));
}

/// The activation of ACTIVATION_VECTORS vectors in place. `kind` is a constant where this is inlined.
static LAT_ALWAYS_INLINE void activation_vectors(const lat__activation_args *args, const lat_activation_kind kind,
                                                 vf32 *x) {
  switch (kind) {
  case LAT_ACTIVATION_RELU:
    ACTIVATION_EACH x[v] = v_relu(x[v]);
    return;
  case LAT_ACTIVATION_SIGMOID:
    activation_sigmoid(x);
    return;
  case LAT_ACTIVATION_SILU:
    activation_silu(x);
    return;
  case LAT_ACTIVATION_TANH:
    activation_tanh(x);
    return;
  case LAT_ACTIVATION_LEAKY_RELU:
    ACTIVATION_EACH x[v] = v_where_above(v_set1(0.0f), x[v], x[v] * v_set1(args->alpha), x[v]);
    return;
  case LAT_ACTIVATION_GELU:
    activation_gelu_erf(x);
    return;
  case LAT_ACTIVATION_GELU_TANH:
    activation_gelu_tanh(x);
    return;
  case LAT_ACTIVATION_GELU_FAST:
    activation_gelu_fast(x);
    return;
  case LAT_ACTIVATION_SOFTPLUS:
    activation_softplus(args, x);
    return;
  case LAT_ACTIVATION_EXP:
    activation_exp(x);
    return;
  }
}

static LAT_ALWAYS_INLINE void activation_block(const lat__activation_args *args, const lat_activation_kind kind,
                                               const lat_dtype dtype, const void *x, void *y, int64_t first) {
  vf32 values[ACTIVATION_VECTORS];
  ACTIVATION_EACH values[v] = elements_load(dtype, x, first + v * V_LANES);
  activation_vectors(args, kind, values);
  ACTIVATION_EACH elements_store(dtype, y, first + v * V_LANES, values[v]);
}

/// All elements; what fills no block goes through one that is filled up with zeros.
static LAT_ALWAYS_INLINE void activation_run(const lat__activation_args *args, const lat_activation_kind kind,
                                             const lat_dtype dtype, int64_t n, const void *x, void *y) {
  const size_t bytes = dtype == LAT_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
  float block_x[ACTIVATION_ELEMENTS] = {0}, block_y[ACTIVATION_ELEMENTS];
  int64_t whole = n - n % ACTIVATION_ELEMENTS;
  for (int64_t i = 0; i < whole; i += ACTIVATION_ELEMENTS) activation_block(args, kind, dtype, x, y, i);
  if (whole == n) return;
  memcpy(block_x, (const char *)x + (size_t)whole * bytes, (size_t)(n - whole) * bytes);
  activation_block(args, kind, dtype, block_x, block_y, 0);
  memcpy((char *)y + (size_t)whole * bytes, block_y, (size_t)(n - whole) * bytes);
}

static LAT_ALWAYS_INLINE void activation_dispatch(const lat__activation_args *args, const lat_dtype dtype, int64_t n,
                                                  const void *x, void *y) {
  const lat__activation_args copy = *args; // stores to y cannot change it
  switch (args->kind) {
  case LAT_ACTIVATION_RELU:
    activation_run(&copy, LAT_ACTIVATION_RELU, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_SIGMOID:
    activation_run(&copy, LAT_ACTIVATION_SIGMOID, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_SILU:
    activation_run(&copy, LAT_ACTIVATION_SILU, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_TANH:
    activation_run(&copy, LAT_ACTIVATION_TANH, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_LEAKY_RELU:
    activation_run(&copy, LAT_ACTIVATION_LEAKY_RELU, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_GELU:
    activation_run(&copy, LAT_ACTIVATION_GELU, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_GELU_TANH:
    activation_run(&copy, LAT_ACTIVATION_GELU_TANH, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_GELU_FAST:
    activation_run(&copy, LAT_ACTIVATION_GELU_FAST, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_SOFTPLUS:
    activation_run(&copy, LAT_ACTIVATION_SOFTPLUS, dtype, n, x, y);
    return;
  case LAT_ACTIVATION_EXP:
    activation_run(&copy, LAT_ACTIVATION_EXP, dtype, n, x, y);
    return;
  }
}

static void KERNEL(activate_f32)(const lat__activation_args *args, int64_t n, const float *x, float *y) {
  activation_dispatch(args, LAT_DTYPE_F32, n, x, y);
}

static void KERNEL(activate_f16)(const lat__activation_args *args, int64_t n, const uint16_t *x, uint16_t *y) {
  activation_dispatch(args, LAT_DTYPE_F16, n, x, y);
}

static void KERNEL(activate_bf16)(const lat__activation_args *args, int64_t n, const uint16_t *x, uint16_t *y) {
  activation_dispatch(args, LAT_DTYPE_BF16, n, x, y);
}

#undef ACTIVATION_VECTORS
#undef ACTIVATION_ELEMENTS
#undef ACTIVATION_MAGIC
#undef ACTIVATION_LN2_HIGH
#undef ACTIVATION_LN2_LOW
#undef ACTIVATION_EACH
