// The multiply-add limit of one core: chains that never leave the registers. Two pipes of four cycles need eight chains;
// twelve leave room and fit sixteen registers. Cores with short vectors have up to four pipes.

#define PEAK_CHAINS (V_LANES == 4 ? 24 : 12)
#define PEAK_STEPS 64

static int64_t KERNEL(fma_peak)(int64_t n_rounds, float *sink) {
  vf32 sums[PEAK_CHAINS];
  vf32 scale = v_set1(0.75f), offset = v_set1(0.25f); // converges to 1: no overflow, no subnormals
  KERNEL_UNROLL
  for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = v_set1((float)i);
  for (int64_t round = 0; round < n_rounds; round++) {
    for (int step = 0; step < PEAK_STEPS; step++) {
      KERNEL_UNROLL
      for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = v_fma(sums[i], scale, offset);
    }
  }
  vf32 total = sums[0];
  KERNEL_UNROLL
  for (int i = 1; i < PEAK_CHAINS; i++) total = total + sums[i];
  float lanes[V_LANES];
  v_store(lanes, total);
  *sink = lanes[0];
  return n_rounds * PEAK_STEPS * PEAK_CHAINS * V_LANES * 2;
}

#undef PEAK_CHAINS
#undef PEAK_STEPS
