// Packed weights against frozen numbers and against groups whose codes are known by hand.
//
// The frozen table is the output of the quantize function of MLX 0.32.4 on its CPU device, mode affine, for the weights
// of `weight_value` (zero-padded to whole groups); scales and biases as bit patterns.
// covers: lat_quantize_weight
#include "support/test_support.h"

#include <string.h>

#include <lattice/lattice.h>

#define N_ROWS 6
#define MAX_WORDS 16
#define MAX_STORAGE 64

typedef struct golden_case {
  lat_dtype dtype;
  int32_t bits, group_size;
  int64_t in_channels;
  int64_t n_words, n_groups; // of a row
  uint32_t words[N_ROWS][MAX_WORDS];
  uint32_t scales[N_ROWS][2], biases[N_ROWS][2];
} golden_case;

static const golden_case cases[] = {
    {LAT_DTYPE_F32,
     4,
     32,
     40,
     8,
     2,
     {{0x59AA719F, 0x4AE0FC7F, 0xE7D2431B, 0x51905664, 0xB80F07BA, 0xEEEEEEEE, 0xEEEEEEEE, 0xEEEEEEEE},
      {0x04541B4A, 0xE58A9619, 0x928CEDA6, 0x0B4AE11D, 0x30F6F033, 0xDDDDDDDD, 0xDDDDDDDD, 0xDDDDDDDD},
      {0xAEFEB6E4, 0x8F3441B4, 0x3C268850, 0xA5E59BB8, 0xFD808DFF, 0xCCCCCCCC, 0xCCCCCCCC, 0xCCCCCCCC},
      {0x58A9618E, 0x39DEEB6E, 0xD6C1330A, 0x509F4653, 0xB80E07AA, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
      {0xE3430A39, 0xD4798619, 0x817BDCA5, 0xFA3AE00D, 0x30F6F033, 0xEEEEEEEE, 0xEEEEEEEE, 0xEEEEEEEE},
      {0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000}},
     {{0xBE4CCCCD, 0xBDF24925},
      {0x3DCCCCCD, 0x3D93B13B},
      {0xBEC66666, 0xBEAD5555},
      {0xBB500000, 0xBAF77777},
      {0x3F19999A, 0x3EDEDB6E},
      {0xB3D6BF95, 0xB3D6BF95}},
     {{0x40000000, 0x3FD40000},
      {0xBF800000, 0xBF700000},
      {0x40780000, 0x40820000},
      {0x3D020000, 0x3CE80000},
      {0xC0C00000, 0xC0C30000},
      {0x00000000, 0x00000000}}},
    {LAT_DTYPE_F32,
     8,
     64,
     64,
     16,
     1,
     {{0x71189FFF, 0x5B99B1A4, 0xFACA74FD, 0x43A9EA00, 0x40380BBC, 0xF27CE423, 0x4E6E693E, 0x5E10A108, 0x1E668986,
       0x916C20B4, 0xB4206C91, 0x8689661E, 0x08A1105E, 0x3E696E4E, 0x23E47CF2, 0xBC0B3840},
      {0x16C745A9, 0x0040584B, 0xA37119A6, 0xF35093AE, 0xF1E8B964, 0x9B218DD2, 0xFE130EEE, 0x03BF48B7, 0xCD0B2F2C,
       0x3711CF5B, 0x5BCF1137, 0x2C2F0BCD, 0xB748BF03, 0xEE0E13FE, 0xD28D219B, 0x64B9E8F1},
      {0xC068ED4B, 0xAAE8FFF2, 0x4515C248, 0x92F83550, 0x90885A08, 0x3DCA3072, 0x9DBDB88D, 0xAD60F058, 0x6DB5D8D5,
       0xE0BA7000, 0x0070BAE0, 0xD5D8B56D, 0x58F060AD, 0x8DB8BD9D, 0x7230CA3D, 0x085A8890},
      {0x650D92F2, 0x508DA598, 0xEDBD68F0, 0x389DDDF8, 0x352D00B0, 0xE570D818, 0x43625D33, 0x530595FF, 0x135A7D7A,
       0x856015A8, 0xA8156085, 0x7A7D5A13, 0xFF950553, 0x335D6243, 0x18D870E5, 0xB0002D35},
      {0x0BB8399A, 0xFC334C3E, 0x95640E98, 0xE34485A0, 0xE1D9AB57, 0x8D167FC3, 0xEE0803DE, 0xFFB03CA8, 0xBE002320,
       0x2B05C04F, 0x4FC0052B, 0x202300BE, 0xA83CB0FF, 0xDE0308EE, 0xC37F168D, 0x57ABD9E1},
      {0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000,
       0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000}},
     {{0xBC3E82FA}, {0x3BB92144}, {0xBCC05EB5}, {0xB9405EB5}, {0x3D0DD174}, {0xB3D6BF95}},
     {{0x40000000}, {0xBF800000}, {0x40820000}, {0x3D020000}, {0xC0C30000}, {0x00000000}}},
    {LAT_DTYPE_F16,
     4,
     64,
     50,
     8,
     1,
     {{0x59AA719F, 0x4AE0FC7F, 0xE7D2431B, 0x51905664, 0x862A2688, 0x8862A268, 0xAAAAAA15, 0xAAAAAAAA},
      {0x04541B4A, 0xE58A9619, 0x928CEDA6, 0x0B4AE11D, 0x31C5C132, 0x231C5C13, 0xAAAAAAB0, 0xAAAAAAAA},
      {0xADFEB6E4, 0x8E3541B4, 0x4C378850, 0xA6E59BB8, 0xDB606ACC, 0xCCA606BD, 0xAAAAAA6A, 0xAAAAAAAA},
      {0x58A9618E, 0x39DEEB6E, 0xD6C1330A, 0x509F4653, 0x861A1577, 0x7751A168, 0xAAAAAA05, 0xAAAAAAAA},
      {0xE3441A39, 0xD4898619, 0x817BDCA5, 0xEA3AE00D, 0x20B4B022, 0x220B4B02, 0xAAAAAAAE, 0xAAAAAAAA},
      {0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000}},
     {{0xB266}, {0x2E66}, {0xB680}, {0x9A80}, {0x38E0}, {0x8002}},
     {{0x4000}, {0xBC00}, {0x4410}, {0x2810}, {0xC618}, {0x0000}}},
    {LAT_DTYPE_F16,
     8,
     32,
     33,
     16,
     2,
     {{0x71189FFF, 0x5B99B1A4, 0xFACA74FD, 0x43A9EA00, 0x40380BBC, 0xF27CE423, 0x4E6E693E, 0x5E10A108, 0xFFFFFF00,
       0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
      {0x16C745A9, 0x0040584B, 0xA37119A6, 0xF35093AE, 0xF1E8B964, 0x9B218DD2, 0xFE130EEE, 0x03BF48B7, 0xFFFFFF00,
       0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
      {0xBD63EC45, 0xA7E6FFF1, 0x3F0EC042, 0x8FF72F4A, 0x8C845500, 0x37C8296E, 0x9ABAB589, 0xAA5AEF52, 0xFFFFFF00,
       0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
      {0x650D92F2, 0x508DA598, 0xEDBD68F0, 0x389DDDF8, 0x352D00B0, 0xE570D818, 0x43625D33, 0x530595FF, 0xFFFFFF00,
       0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
      {0x08B73799, 0xFC314A3C, 0x94620B96, 0xE342839F, 0xE0D8AA55, 0x8B137EC2, 0xEE0500DD, 0xFEAF39A7, 0xFFFFFF00,
       0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
      {0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000,
       0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000}},
     {{0xA1F4, 0x9707}, {0x1DC9, 0x1A06}, {0xA5D6, 0x1B88}, {0x8A03, 0x8262}, {0x2863, 0x24FD}, {0x8002, 0x8002}},
     {{0x4000, 0x3700}, {0xBC00, 0xBA00}, {0x43C0, 0xBB80}, {0x2810, 0x20C0}, {0xC600, 0xC4F8}, {0x0000, 0x0000}}},
};

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context);
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static float weight_value(int64_t row, int64_t channel) {
  static const float row_scales[N_ROWS] = {1.0f, -0.5f, 2.0f, 1.0f / 64.0f, -3.0f, 0.0f};
  int64_t residue = (row * 131 + channel * channel * 7 + channel * 29) % 97 - 31;
  return (float)residue / 32.0f * row_scales[row];
}

static lat_quantized_weight *quantize(const float *values, lat_dtype dtype, int32_t rank, const int64_t *shape,
                                      int32_t bits, int32_t group_size) {
  lat_array_view view = lat_view(values, LAT_DTYPE_F32, rank, shape);
  lat_array *weight = NULL;
  lat_quantized_weight *packed = NULL;
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  opts.bits = bits;
  opts.group_size = group_size;
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &weight));
  view = lat_array_as_view(weight);
  lat_test_assert_ok(lat_quantize_weight(context, &view, &opts, &packed));
  lat_array_release(weight);
  return packed;
}

static uint32_t bits_at(lat_array_view view, int64_t index) {
  uint32_t word = 0;
  size_t bytes = lat_dtype_bytes(view.dtype);
  memcpy(&word, (const char *)view.data + (size_t)index * bytes, bytes);
  return word;
}

// Storage of (kernel, channel): words (1, C_out, P) for one kernel element, else (K, P, C_out).
static void check_storage(const golden_case *expected, const lat_quantized_info *info, int64_t n_kernels) {
  int64_t out_channels = N_ROWS / n_kernels;
  assert_int_equal(info->words.dtype, LAT_DTYPE_U32);
  assert_int_equal(info->scales.dtype, expected->dtype);
  for (int64_t row = 0; row < N_ROWS; row++) {
    int64_t kernel = row / out_channels, channel = row % out_channels;
    for (int64_t w = 0; w < expected->n_words; w++) {
      int64_t at =
          n_kernels == 1 ? channel * expected->n_words + w : (kernel * expected->n_words + w) * out_channels + channel;
      assert_int_equal(bits_at(info->words, at), expected->words[row][w]);
    }
    for (int64_t g = 0; g < expected->n_groups; g++) {
      int64_t at = n_kernels == 1 ? channel * expected->n_groups + g
                                  : (kernel * expected->n_groups + g) * out_channels + channel;
      assert_int_equal(bits_at(info->scales, at), expected->scales[row][g]);
      assert_int_equal(bits_at(info->biases, at), expected->biases[row][g]);
    }
  }
}

static void frozen_numbers_in_every_layout(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const golden_case *c = &cases[i];
    const int64_t ci = c->in_channels;
    const int64_t linear[2] = {N_ROWS, ci}, mapped[3] = {3, ci, 2}, dense[5] = {2, 1, 3, 1, ci},
                  unit[5] = {N_ROWS, 1, 1, 1, ci};
    const struct {
      int32_t rank;
      const int64_t *shape;
      int64_t n_kernels;
      lat_weight_layout layout;
    } forms[] = {{2, linear, 1, LAT_WEIGHT_LAYOUT_LINEAR},
                 {3, mapped, 3, LAT_WEIGHT_LAYOUT_KERNEL_MAJOR},
                 {5, dense, 3, LAT_WEIGHT_LAYOUT_DENSE_5D},
                 {5, unit, 1, LAT_WEIGHT_LAYOUT_DENSE_5D}};
    for (int form = 0; form < 4; form++) {
      static float values[N_ROWS * MAX_STORAGE];
      for (int64_t row = 0; row < N_ROWS; row++) {
        int64_t out = N_ROWS / forms[form].n_kernels, kernel = row / out, channel = row % out;
        for (int64_t k = 0; k < ci; k++) {
          int64_t at = forms[form].rank == 3 ? (kernel * ci + k) * out + channel
                                             : (channel * forms[form].n_kernels + kernel) * ci + k;
          values[at] = weight_value(row, k);
        }
      }
      lat_quantized_weight *packed =
          quantize(values, c->dtype, forms[form].rank, forms[form].shape, c->bits, c->group_size);
      lat_quantized_info info = lat_quantized_weight_info(packed);
      assert_int_equal(info.layout, forms[form].layout);
      assert_int_equal(info.storage_in_channels, c->n_groups * c->group_size);
      check_storage(c, &info, forms[form].n_kernels);
      lat_quantized_weight_release(packed);
    }
  }
}

// The values 0 .. n with both ends present: scale -1, bias n, so the code of w is n - w; every code in every position.
static void every_code_in_every_position(void **state) {
  (void)state;
  for (int bits = 4; bits <= 8; bits += 4) {
    const int n_codes = 1 << bits, per_word = 32 / bits;
    const int64_t shape[2] = {1, 32};
    for (int shift = 0; shift < n_codes; shift++) {
      for (int low = 0; low < 32; low += 31) { // the ends' places, which cannot take every code at once
        float values[32];
        for (int c = 0; c < 32; c++) values[c] = (float)((c * 7 + shift) % n_codes);
        values[low] = 0.0f;
        values[low == 0 ? 1 : 30] = (float)(n_codes - 1);
        lat_quantized_weight *packed = quantize(values, LAT_DTYPE_F32, 2, shape, bits, 32);
        lat_quantized_info info = lat_quantized_weight_info(packed);
        assert_true(*(const float *)info.scales.data == -1.0f);
        assert_true(*(const float *)info.biases.data == (float)(n_codes - 1));
        for (int c = 0; c < 32; c++) {
          uint32_t code = bits_at(info.words, c / per_word) >> (c % per_word * bits) & (uint32_t)(n_codes - 1);
          assert_int_equal(code, n_codes - 1 - (int)values[c]);
        }
        lat_quantized_weight_release(packed);
      }
    }
  }
}

// Codes of a group of 32 whose first values are given and whose rest is `rest`.
static void check_group(const float *values, int n, float rest, float scale, float bias, const uint32_t *codes) {
  const int64_t shape[2] = {1, 32};
  float group[32];
  for (int c = 0; c < 32; c++) group[c] = c < n ? values[c] : rest;
  lat_quantized_weight *packed = quantize(group, LAT_DTYPE_F32, 2, shape, 4, 32);
  lat_quantized_info info = lat_quantized_weight_info(packed);
  assert_true(*(const float *)info.scales.data == scale);
  assert_true(*(const float *)info.biases.data == bias);
  for (int c = 0; c < n; c++) assert_int_equal(bits_at(info.words, c / 8) >> (c % 8 * 4) & 15u, codes[c]);
  lat_quantized_weight_release(packed);
}

static void groups_by_hand(void **state) {
  (void)state;
  // Range 15, larger end +15: scale -1, bias 15; halves go to the even code.
  const float positive[] = {0.0f, 15.0f, 14.5f, 13.5f, 12.5f, 14.51f, 7.0f};
  const uint32_t positive_codes[] = {15, 0, 0, 2, 2, 0, 8};
  check_group(positive, 7, 0.0f, -1.0f, 15.0f, positive_codes);
  // Larger end -15: scale +1, bias -15.
  const float negative[] = {0.0f, -15.0f, -14.5f, -13.5f, -7.25f};
  const uint32_t negative_codes[] = {15, 0, 0, 2, 8};
  check_group(negative, 5, 0.0f, 1.0f, -15.0f, negative_codes);
  // Equal ends count as positive: 30 / 15 = 2, 15 / -2 = -7.5 rounds to -8: scale -1.875; -15 would be code 16, clamped.
  const float symmetric[] = {15.0f, -15.0f, 0.0f, 13.125f};
  const uint32_t symmetric_codes[] = {0, 15, 8, 1};
  check_group(symmetric, 4, 0.0f, -1.875f, 15.0f, symmetric_codes);
  // A constant group: the smallest scale, fitted to the edge: 1 / rint(1 / -1e-7).
  const float constant[] = {1.0f, 1.0f};
  const uint32_t constant_codes[] = {0, 0};
  check_group(constant, 2, 1.0f, 1.0f / -1e7f, 1.0f, constant_codes);
  // All zeros: no edge to fit, bias 0.
  const float zeros[] = {0.0f, -0.0f};
  check_group(zeros, 2, 0.0f, -1e-7f, 0.0f, constant_codes);
  // A constant so large that its number of steps is infinite: the scale is zero, 0 / 0 is code 0.
  const float huge[] = {1e38f, 1e38f};
  check_group(huge, 2, 1e38f, 0.0f, 1e38f, constant_codes);
  // The edge is nearer to zero than half a scale of 1e-7.
  const float tiny[] = {4e-8f, 0.0f};
  check_group(tiny, 2, 0.0f, -1e-7f, 0.0f, constant_codes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(frozen_numbers_in_every_layout),
      cmocka_unit_test(every_code_in_every_position),
      cmocka_unit_test(groups_by_hand),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
