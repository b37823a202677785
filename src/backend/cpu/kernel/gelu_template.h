// The Gaussian error linear unit in its three forms, one element at a time and without branches, so that the compiler
// vectorises the loop; fmaf is written out, so every level gives the same bits. Errors: docs/numerics.md.
//
// Everything is built on exp(-y) for y >= 0. The steep exponents carry a second float for what rounding cut off, because
// an error of one ulp in y = 100 would be an error of 100 ulp in exp(-y).

typedef union gelu_word {
  float f;
  int32_t i;
  uint32_t u;
} gelu_word;

/// A value m * s where s is a power of two: kept apart, results below the normal range are rounded once.
typedef struct gelu_scaled {
  float m, s;
} gelu_scaled;

static inline float gelu_power_of_two(int32_t exponent) {
  return ((gelu_word){.u = (uint32_t)(exponent + 127) << 23}).f;
}

/// exp(-(y + y_low)) for 0 <= y <= 115 and |y_low| <= ulp(y): n = round(y / ln 2), exp(r) for |r| <= ln 2 / 2 by a
/// minimax polynomial of degree 6, then 2^-n in two factors.
static inline gelu_scaled gelu_exp_minus(float y, float y_low) {
  const float magic = 0x1.8p23f; // adding it leaves the rounded integer in the low bits
  gelu_word shifted = {.f = fmaf(y, 0x1.715476p+0f, magic)};
  float n = shifted.f - magic;
  int32_t exponent = shifted.i - 0x4B400000;
  int32_t half = exponent >> 1;
  float r = fmaf(n, -0x1.62e43p-1f, y); // exact: ln 2 = 0x1.62e43p-1 - 0x1.05c61p-29
  r = fmaf(n, 0x1.05c61p-29f, r);
  r = -(r + y_low);
  float p = fmaf(0x1.6db42ap-10f, r, 0x1.123b56p-7f);
  p = fmaf(p, r, 0x1.55545ep-5f);
  p = fmaf(p, r, 0x1.55548ep-3f);
  p = fmaf(p, r, 0.5f);
  float value = fmaf(r * r, p, r) + 1.0f;
  return (gelu_scaled){value * gelu_power_of_two(-half), gelu_power_of_two(half - exponent)};
}

/// min(|x|, limit); a NaN gives limit, so that no NaN runs through the integer steps.
static inline float gelu_magnitude(float x, float limit) {
  gelu_word value = {.f = x}, bound = {.f = limit};
  value.i &= 0x7FFFFFFF;
  return ((gelu_word){.i = value.i < bound.i ? value.i : bound.i}).f;
}

/// `positive` or `negative` by the sign of x; a NaN x comes back quiet.
static inline float gelu_select(float x, float positive, float negative) {
  gelu_word value = {.f = x}, p = {.f = positive}, n = {.f = negative};
  int32_t is_negative = value.i >> 31;
  int32_t is_nan = (0x7F800000 - (value.i & 0x7FFFFFFF)) >> 31;
  int32_t result = (p.i & ~is_negative) | (n.i & is_negative);
  return ((gelu_word){.i = (result & ~is_nan) | ((value.i | 0x400000) & is_nan)}).f;
}

/// x Phi(x). With a = |x|: Phi(-a) = exp(-a^2 / 2) M(a), where M(a) = erfcx(a / sqrt 2) / 2 is smooth: (a + 2.5) M(a) is a
/// polynomial of degree 9 in t = (a - 2.5) / (a + 2.5), and Phi(a) = 1 - Phi(-a).
static inline float gelu_erf(float x) {
  float a = gelu_magnitude(x, 15.0f); // from 14.5 on exp(-a^2 / 2) is 0 in float32
  float square = a * a;
  float square_low = fmaf(a, a, -square);
  gelu_scaled e = gelu_exp_minus(0.5f * square, 0.5f * square_low);
  float inverse = 1.0f / (a + 2.5f);
  float t = fmaf(-5.0f, inverse, 1.0f);
  float residual = fmaf(-a, t, fmaf(t + 1.0f, -2.5f, a)); // one Newton step: t = -1 must come out exact for a = 0
  t = fmaf(inverse, residual, t);
  float p = fmaf(-0x1.4ab9ccp-13f, t, -0x1.46c29cp-12f);
  p = fmaf(p, t, 0x1.66d452p-11f);
  p = fmaf(p, t, 0x1.4ad12p-9f);
  p = fmaf(p, t, -0x1.a3a5e2p-10f);
  p = fmaf(p, t, -0x1.0c78a4p-6f);
  p = fmaf(p, t, 0x1.2ea424p-7f);
  p = fmaf(p, t, 0x1.0e4f3p-3f);
  p = fmaf(p, t, -0x1.bc19c2p-2f);
  p = fmaf(p, t, 0x1.69cee6p-1f);
  float tail = (a * ((p * inverse) * e.m)) * e.s; // a Phi(-a)
  return gelu_select(x, x - tail, -tail);
}

/// x * sigmoid(y) for the sign of x, where y + y_low >= 0 belongs to a = min(|x|, limit).
static inline float gelu_logistic(float x, float a, float y, float y_low) {
  gelu_scaled e = gelu_exp_minus(y, y_low);
  float denominator = 1.0f + e.m * e.s;
  return gelu_select(x, x / denominator, -((a * e.m) / denominator) * e.s);
}

/// x sigmoid(1.702 x).
static inline float gelu_fast(float x) {
  float a = gelu_magnitude(x, 64.0f); // exp(-1.702 * 64) is 0 in float32
  float y = 1.702f * a;
  float y_low = fmaf(-0x1.78d4fep-26f, a, fmaf(1.702f, a, -y));
  return gelu_logistic(x, a, y, y_low);
}

/// x sigmoid(y) with y = 2 sqrt(2 / pi) (x + 0.044715 x^3) = x (B0 + B1 x^2), since (1 + tanh u) / 2 = sigmoid(2 u).
static inline float gelu_tanh(float x) {
  const float b0 = 0x1.988454p+0f, b0_low = -0x1.857936p-25f; // 2 sqrt(2 / pi)
  const float b1 = 0x1.2444f2p-4f, b1_low = 0x1.49b16ap-29f;  // 0.044715 times that
  float a = gelu_magnitude(x, 11.0f);                         // y(11) = 112.5, beyond the range of exp(-y)
  float square = a * a;
  float square_low = fmaf(a, a, -square);
  float p = b1 * square;
  float p_low = fmaf(b1_low, square, fmaf(b1, square_low, fmaf(b1, square, -p)));
  float q = b0 + p;
  float back = q - b0;
  float q_low = ((b0 - (q - back)) + (p - back)) + (p_low + b0_low);
  float y = q * a;
  float y_low = fmaf(q_low, a, fmaf(q, a, -y));
  return gelu_logistic(x, a, y, y_low);
}

static void KERNEL(gelu_erf_f32)(int64_t n, const float *restrict x, float *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] = gelu_erf(x[i]);
}

static void KERNEL(gelu_tanh_f32)(int64_t n, const float *restrict x, float *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] = gelu_tanh(x[i]);
}

static void KERNEL(gelu_fast_f32)(int64_t n, const float *restrict x, float *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] = gelu_fast(x[i]);
}
