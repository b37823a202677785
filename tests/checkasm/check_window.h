/// Checks of the pairs of kernel windows. Part of checkasm.c.

/// One call of either table: as many entries as its lists have room for, lists behind one another.
static void run_window_pairs(const lat__cpu_kernels *table, lat__window_args args, uint32_t *entries, int64_t room,
                             int64_t *counts) {
  uint32_t *outs[LAT__WINDOW_PLACES], *ins[LAT__WINDOW_PLACES];
  for (int l = 0; l < LAT__WINDOW_PLACES; l++) {
    outs[l] = entries + 2 * l * room;
    ins[l] = entries + (2 * l + 1) * room;
  }
  args.outs = outs;
  args.ins = ins;
  args.counts = counts;
  table->window_pairs(&args);
}

static void check_window_case(const checker *c, int64_t n, int32_t n_places, int32_t step) {
  int64_t room = n + LAT__WINDOW_PAD;
  size_t bytes = (size_t)(2 * LAT__WINDOW_PLACES * room) * sizeof(uint32_t);
  uint32_t *lower = guarded_alloc((size_t)room * sizeof *lower), *entries[2];
  uint8_t *hits = guarded_alloc((size_t)room);
  int64_t counts[2][LAT__WINDOW_PLACES] = {{0}}, denominator = 1 + random_below(4);
  for (int64_t i = 0; i < room; i++) {
    lower[i] = (uint32_t)next_random();
    hits[i] = 0;
    for (int32_t j = 0; i < n && j < n_places; j++) hits[i] |= (uint8_t)((random_below(denominator) == 0) << j);
  }
  lat__window_args args = {
      .lower = lower, .hits = hits, .n = n, .first = (uint32_t)next_random(), .n_places = n_places, .step = step};
  for (int i = 0; i < 2; i++) {
    entries[i] = guarded_output(bytes, 0);
    run_window_pairs(i == 0 ? c->scalar : c->level, args, entries[i], room, counts[i]);
  }
  assert_same_bytes("window_pairs: counts", counts[1], counts[0], sizeof counts[0]);
  for (int l = 0; l < 2 * LAT__WINDOW_PLACES; l++) {
    assert_true(counts[0][l / 2] <= n);
    assert_same_bytes("window_pairs", entries[1] + l * room, entries[0] + l * room,
                      (size_t)counts[0][l / 2] * sizeof(uint32_t));
  }
  guarded_check("window_pairs");
  guarded_free_all();
}

/// The scalar slot against its sentence in cpu_kernels.list.
static void check_window_meaning(const checker *c) {
  static const uint32_t lower[2 + LAT__WINDOW_PAD] = {7, 9};
  static const uint8_t hits[2 + LAT__WINDOW_PAD] = {0x5, 0x7};
  uint32_t entries[2 * LAT__WINDOW_PLACES * (2 + LAT__WINDOW_PAD)];
  int64_t counts[LAT__WINDOW_PLACES], room = 2 + LAT__WINDOW_PAD;
  lat__window_args args = {.lower = lower, .hits = hits, .n = 2, .first = 40, .n_places = 3, .step = 2};
  run_window_pairs(c->scalar, args, entries, room, counts);
  assert_int_equal(counts[0], 2);
  assert_int_equal(counts[1], 2);
  assert_int_equal(entries[0], 40);
  assert_int_equal(entries[1], 41);
  assert_int_equal(entries[room], 7);
  assert_int_equal(entries[room + 1], 9);
  assert_int_equal(entries[3 * room], 8);
  assert_int_equal(entries[3 * room + 1], 11);
}

static void check_window_pairs(const checker *c) {
  check_window_meaning(c);
  for (int32_t n_places = 1; n_places <= LAT__WINDOW_PLACES; n_places++) {
    for (int64_t n = 0; n <= 2 * c->level->lanes + 1; n++) {
      check_window_case(c, n, n_places, 1);
      check_window_case(c, n, n_places, 1 + (int32_t)random_below(n_places));
    }
  }
}
