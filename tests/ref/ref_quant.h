/// Naive affine quantization of one group of weights.
#ifndef LAT_REF_QUANT_H
#define LAT_REF_QUANT_H

/// Codes, scale and bias (float32, before they are rounded for storage) of `count` values.
void ref_quantize_group(const float *values, int count, int bits, unsigned *codes, float *scale, float *bias);

/// code * scale + bias in float32, or (half) in binary16: product rounded, then sum rounded.
double ref_dequantize(unsigned code, double scale, double bias, int half);

#endif
