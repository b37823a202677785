// Derivatives of activations, and softmax, one element at a time. Everything is evaluated in double and rounded to float32
// once, so an error bound is half an ulp and what the double arithmetic leaves (docs/numerics.md). Additions,
// products and quotients of doubles are the same at every level; nothing is fused and libm is not asked.

typedef union slope_word {
  double f;
  int64_t i;
  uint64_t u;
} slope_word;

/// exp(x) for |x| <= 708; other finite values are taken as +-708: as float32 they are 0 and infinity anyway.
static inline double slope_exp(double x) {
  const double magic = 0x1.8p52; // adding it leaves the rounded integer in the low bits
  x = x > 708.0 ? 708.0 : x;
  x = x < -708.0 ? -708.0 : x;
  slope_word shifted = {.f = x * 0x1.71547652b82fep+0 + magic};
  double n = shifted.f - magic;
  double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33; // ln 2 in two parts; the first product is exact
  double p = 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  slope_word power = {.u = (uint64_t)(shifted.i - 0x4338000000000000 + 1023) << 52};
  return p * power.f;
}

/// |x|, at most `limit`.
static inline double slope_magnitude(double x, double limit) {
  double a = x < 0.0 ? -x : x;
  return a < limit ? a : limit;
}

/// 1 / (1 + exp(-y)).
static inline double slope_sigmoid(double y) {
  double e = slope_exp(-slope_magnitude(y, 708.0));
  return (y < 0.0 ? e : 1.0) / (1.0 + e);
}

/// The derivative of the logistic function at y.
static inline double slope_of_sigmoid(double y) {
  double e = slope_exp(-slope_magnitude(y, 708.0));
  return e / ((1.0 + e) * (1.0 + e));
}

/// Phi(x) + x phi(x). The tail as in activation_template.h, by a polynomial of degree 18 for double.
static inline double slope_of_gelu_erf(double x) {
  static const double terms[] = {
      -0x1.7f2dd30a037eap-24, 0x1.3d57a449c9636p-21,  0x1.c5061cdbdee3ep-20,  -0x1.468b37c7dfe38p-19,
      -0x1.5b2de02db0db6p-17, -0x1.ab0f97ba277ebp-19, 0x1.014098c835e12p-15,  0x1.e6528b89fdd54p-15,
      -0x1.3a46f4a74fc1ap-16, -0x1.13f1b39c6b120p-12, -0x1.53d72d633b68cp-12, 0x1.8e1d856aca8b8p-11,
      0x1.4cadd71fb7211p-9,   -0x1.a9fdc66c4c43fp-10, -0x1.0c88be3c8266fp-6,  0x1.2ebfd2967d721p-7,
      0x1.0e4f58a3cf747p-3,   -0x1.bc19caf75991fp-2,  0x1.69cee6bdcc81dp-1};
  double a = slope_magnitude(x, 37.0);
  double e = slope_exp(-0.5 * a * a);
  double t = (a - 2.5) / (a + 2.5), p = terms[0];
  for (int i = 1; i < 19; i++) p = p * t + terms[i];
  double tail = p / (a + 2.5) - a * 0x1.9884533d43651p-2; // (Phi(-a) - a phi(a)) / exp(-a^2 / 2)
  return x < 0.0 ? e * tail : 1.0 - e * tail;
}

/// The derivative of x sigmoid(y(x)) where `slope` is y'(x).
static inline double slope_of_swish(double x, double y, double slope) {
  return slope_sigmoid(y) + x * slope * slope_of_sigmoid(y);
}

static inline double slope_of_gelu_tanh(double x) {
  const double b0 = 0x1.9884533d43651p+0,
               b1 = 0.044715 * 0x1.9884533d43651p+0; // 2 sqrt(2 / pi), as in activation_template.h
  double square = x * x;
  return slope_of_swish(x, x * (b0 + b1 * square), b0 + 3.0 * b1 * square);
}

static inline double slope_value(const lat__activation_args *args, double x) {
  double s = x * (double)args->beta, a = slope_magnitude(x, 708.0), near = x < 0.0 ? -a : a, e;
  switch (args->kind) {
  case LAT_ACTIVATION_SIGMOID:
    return slope_of_sigmoid(x);
  case LAT_ACTIVATION_SILU:
    return slope_of_swish(near, near, 1.0);
  case LAT_ACTIVATION_TANH:
    e = slope_exp(-2.0 * (a < 300.0 ? a : 300.0));
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
  case LAT_ACTIVATION_LEAKY_RELU:
    return x >= 0.0 ? 1.0 : (double)args->alpha;
  case LAT_ACTIVATION_GELU:
    return slope_of_gelu_erf(x);
  case LAT_ACTIVATION_GELU_TANH:
    return slope_of_gelu_tanh(near);
  case LAT_ACTIVATION_GELU_FAST:
    return slope_of_swish(near, 1.702 * near, 1.702);
  case LAT_ACTIVATION_SOFTPLUS:
    return s > (double)args->threshold ? 1.0 : slope_sigmoid(s);
  case LAT_ACTIVATION_EXP:
    return slope_exp(x);
  default:
    return x > 0.0 ? 1.0 : 0.0;
  }
}

static void KERNEL(activate_slope_f32)(const lat__activation_args *args, int64_t n, const float *restrict x,
                                       const float *restrict g, float *restrict y) {
  for (int64_t i = 0; i < n; i++) {
    y[i] = x[i] != x[i] ? x[i] : (float)((double)g[i] * slope_value(args, (double)x[i]));
  }
}

static void KERNEL(softmax_rows_f32)(const float *restrict x, int64_t n_rows, int64_t channels, float *restrict y) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *row = x + r * channels;
    float *target = y + r * channels;
    float most = row[0];
    double sum = 0.0;
    for (int64_t c = 1; c < channels; c++) most = row[c] > most || row[c] != row[c] ? row[c] : most;
    for (int64_t c = 0; c < channels; c++) {
      double d = (double)row[c] - (double)most; // NaN for a row of infinities, and exp keeps it
      sum += d != d ? d : slope_exp(d);
    }
    for (int64_t c = 0; c < channels; c++) {
      double d = (double)row[c] - (double)most;
      target[c] = (float)((d != d ? d : slope_exp(d)) / sum);
    }
  }
}
