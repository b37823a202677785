// Naive gradients, see the header.
#include "ref/ref_conv_grad.h"

#include <math.h>
#include <string.h>

/// Where the weight from input channel `ci` of co's group to output channel `co` lies.
static int64_t weight_index(const ref_conv_grad *p, int64_t k, int64_t ci, int64_t co) {
  int64_t depth = p->c_in / p->groups;
  return p->kernel_major ? (k * depth + ci) * p->c_out + co : (co * p->n_kernels + k) * depth + ci;
}

/// Channel of x that is input channel `ci` of co's group.
static int64_t input_channel(const ref_conv_grad *p, int64_t ci, int64_t co) {
  return co / (p->c_out / p->groups) * (p->c_in / p->groups) + ci;
}

static void add(ref_sum *sum, double product) {
  sum->value += product;
  sum->magnitude += fabs(product);
  sum->terms++;
}

void ref_conv_grad_x(const ref_conv_grad *p, ref_sum *out) {
  memset(out, 0, (size_t)(p->n_in * p->c_in) * sizeof *out);
  for (int64_t e = 0; e < p->edges->n; e++) {
    int64_t i = p->edges->in[e], o = p->edges->out[e], k = p->edges->kernel[e];
    for (int64_t ci = 0; ci < p->c_in / p->groups; ci++) {
      for (int64_t co = 0; co < p->c_out; co++) {
        add(&out[i * p->c_in + input_channel(p, ci, co)], p->g[o * p->c_out + co] * p->w[weight_index(p, k, ci, co)]);
      }
    }
  }
}

void ref_conv_grad_w(const ref_conv_grad *p, ref_sum *out) {
  memset(out, 0, (size_t)(p->n_kernels * p->c_in / p->groups * p->c_out) * sizeof *out);
  for (int64_t e = 0; e < p->edges->n; e++) {
    int64_t i = p->edges->in[e], o = p->edges->out[e], k = p->edges->kernel[e];
    for (int64_t ci = 0; ci < p->c_in / p->groups; ci++) {
      for (int64_t co = 0; co < p->c_out; co++) {
        add(&out[weight_index(p, k, ci, co)], p->x[i * p->c_in + input_channel(p, ci, co)] * p->g[o * p->c_out + co]);
      }
    }
  }
}

void ref_conv_grad_bias(const ref_conv_grad *p, ref_sum *out) {
  memset(out, 0, (size_t)p->c_out * sizeof *out);
  for (int64_t o = 0; o < p->n_out; o++) {
    for (int64_t co = 0; co < p->c_out; co++) add(&out[co], p->g[o * p->c_out + co]);
  }
}

double ref_conv_grad_loss(const ref_conv_grad *p, const double *x, const double *w) {
  double loss = 0.0;
  for (int64_t e = 0; e < p->edges->n; e++) {
    int64_t i = p->edges->in[e], o = p->edges->out[e], k = p->edges->kernel[e];
    for (int64_t ci = 0; ci < p->c_in / p->groups; ci++) {
      for (int64_t co = 0; co < p->c_out; co++) {
        loss += p->g[o * p->c_out + co] * x[i * p->c_in + input_channel(p, ci, co)] * w[weight_index(p, k, ci, co)];
      }
    }
  }
  return loss;
}
