// Pairs of kernel windows: an output looks at n_places consecutive places of a column of the inputs, and hits[i] says which
// of them are taken. The inputs of an output lie side by side from `lower` on:
//
//     hits[i] = 0b101:  pair (first + i, lower[i]) of place 0, pair (first + i, lower[i] + 1) of place 2
//
// A vector of outputs at a time: the lanes that have place j are written side by side behind the pairs of list j.

/// `n_places` is a constant after inlining, and each place has a list.
static LAT_ALWAYS_INLINE void KERNEL(window_places)(const lat__window_args *args, int32_t n_places) {
  uint32_t *outs[LAT__WINDOW_PLACES] = {NULL}, *ins[LAT__WINDOW_PLACES] = {NULL};
  KERNEL_UNROLL
  for (int32_t j = 0; j < n_places; j++) {
    outs[j] = args->outs[j];
    ins[j] = args->ins[j];
  }
  for (int64_t i = 0; i < args->n; i += V_LANES) {
    vi32 output = v_iota(args->first + (uint32_t)i), input = v_iload(args->lower + i);
    KERNEL_UNROLL
    for (int32_t j = 0; j < n_places; j++) {
      vpick hit = v_pick_bit(args->hits + i, j);
      v_append(outs[j], output, hit);
      v_append(ins[j], input, hit);
      input = v_add_picked(input, hit);
      int64_t n = v_count(hit);
      outs[j] += n;
      ins[j] += n;
    }
  }
  KERNEL_UNROLL
  for (int32_t j = 0; j < n_places; j++) args->counts[j] = outs[j] - args->outs[j];
}

/// One list, for any number of places.
static int64_t KERNEL(window_list)(const lat__window_args *args, int32_t place, uint32_t *outs, uint32_t *ins) {
  int64_t n = 0;
  for (int64_t i = 0; i < args->n; i += V_LANES) {
    vi32 input = v_iload(args->lower + i);
    for (int32_t j = 0; j < place; j++) input = v_add_picked(input, v_pick_bit(args->hits + i, j));
    vpick hit = v_pick_bit(args->hits + i, place);
    v_append(outs + n, v_iota(args->first + (uint32_t)i), hit);
    v_append(ins + n, input, hit);
    n += v_count(hit);
  }
  return n;
}

static void KERNEL(window_pairs)(const lat__window_args *args) {
  if (args->step == 1 && args->n_places == 1) {
    KERNEL(window_places)(args, 1);
  } else if (args->step == 1 && args->n_places == 2) {
    KERNEL(window_places)(args, 2);
  } else if (args->step == 1 && args->n_places == 3) {
    KERNEL(window_places)(args, 3);
  } else {
    for (int32_t l = 0; l * args->step < args->n_places; l++) {
      args->counts[l] = KERNEL(window_list)(args, l * args->step, args->outs[l], args->ins[l]);
    }
  }
}
