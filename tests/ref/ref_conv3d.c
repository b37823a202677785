// Naive convolution, see the header.
#include "ref/ref_conv3d.h"

#include <math.h>
#include <stddef.h>

#include "ref/ref_relation.h"

static double weight_at(const ref_conv *p, int64_t k, int64_t ci, int64_t co) {
  int64_t volume = (int64_t)p->size[0] * p->size[1] * p->size[2];
  if (p->layout == REF_WEIGHT_KERNEL_IN_OUT) return p->w[(k * p->c_in + ci) * p->c_out + co];
  return p->w[(co * volume + k) * p->c_in + ci];
}

static int64_t tap(const ref_conv *p, int axis, int64_t out, int32_t index) {
  int32_t size = p->size[axis];
  int64_t offset = (int64_t)(size % 2 == 1 && !p->from_zero ? index - size / 2 : index) * p->dilation[axis];
  return out * p->stride[axis] + offset - p->padding[axis];
}

void ref_conv3d(const ref_conv *p, double *y, double *magnitude, int64_t *terms) {
  ref_dictionary *inputs = ref_dictionary_create(p->in, p->n_in);
  for (int64_t o = 0; o < p->n_out; o++) {
    const int32_t *at = p->out + 4 * o;
    for (int64_t co = 0; co < p->c_out; co++) {
      double sum = 0.0, absolute = 0.0;
      int64_t n = 0, k = 0;
      for (int32_t kx = 0; kx < p->size[0]; kx++) {
        for (int32_t ky = 0; ky < p->size[1]; ky++) {
          for (int32_t kz = 0; kz < p->size[2]; kz++, k++) {
            int32_t i =
                ref_dictionary_find(inputs, at[0], tap(p, 0, at[1], kx), tap(p, 1, at[2], ky), tap(p, 2, at[3], kz));
            for (int64_t ci = 0; i >= 0 && ci < p->c_in; ci++) {
              double product = p->x[i * p->c_in + ci] * weight_at(p, k, ci, co);
              sum += product;
              absolute += fabs(product);
              n++;
            }
          }
        }
      }
      double bias = p->bias ? p->bias[co] : 0.0;
      y[o * p->c_out + co] = sum + bias;
      if (magnitude) magnitude[o * p->c_out + co] = absolute + fabs(bias);
      if (terms) terms[o * p->c_out + co] = n + (p->bias != NULL);
    }
  }
  ref_dictionary_free(inputs);
}
