/// Measures one problem: the operator with its relation cached, the relation alone, the first call on a new set, the
/// naive peer, and the limit that the operator runs against.
#include <math.h>
#include <string.h>

#include "cmd_bench.h"

// --- work of a problem ----------------------------------------------------------------------------------------------

static bool is_map(const problem *item) {
  return item->op == PROBLEM_RELATION || item->op == PROBLEM_RADIUS || item->op == PROBLEM_KNN;
}

/// Whether the first call on a coordinate set builds something that later calls find there.
static bool caches_on_set(const problem_case *self) {
  const problem *item = &self->item;
  if (is_map(item)) return false; // measured on new sets anyway
  if (item->acts) return false;   // a plan is made before
  return problem_case_has_relation(self) || item->op == PROBLEM_NETWORK || item->op == PROBLEM_SPARSE_ADD ||
         item->op == PROBLEM_SPARSE_CAT || item->op == PROBLEM_DEVOXELIZE;
}

/// Bytes of feature rows.
static double feature_bytes(const problem *item, int64_t rows, int64_t channels) {
  return (double)rows * (double)channels * (double)lat_dtype_bytes(item->type);
}

/// Adds the feature rows of a join's operand that occur in its result: no other row has to be read.
static lat_status add_operand_bytes(const problem_case *self, const lat_tensor *operand, const lat_tensor *joined,
                                    double *bytes) {
  lat_array *rows = NULL;
  int64_t n_met = 0;
  lat_status status =
      lat_coords_inverse_map(self->context, lat_tensor_coords(operand), lat_tensor_coords(joined), &rows);
  if (status) return status;
  const int32_t *row = lat_array_as_view(rows).data;
  for (int64_t i = 0; i < lat_array_as_view(rows).shape[0]; i++) n_met += row[i] >= 0;
  *bytes += feature_bytes(&self->item, n_met, lat_tensor_channels(operand));
  lat_array_release(rows);
  return LAT_STATUS_OK;
}

/// Statistics of all rows are known when the last one was read; then every row is read again.
static bool reads_twice(const problem *item) {
  return item->op == PROBLEM_BATCH_NORM && item->mode == PROBLEM_STATISTICS_OWN;
}

/// The least a run has to read and write: features in (batch norm with its own statistics: twice) and out, 16 bytes a coordinate row, 12 bytes a point, 8 bytes an
/// edge (two rows).
static lat_status find_least_bytes(const problem_case *self, const problem_result *output, bench_result *result) {
  const problem *item = &self->item;
  lat_status status = LAT_STATUS_OK;
  double bytes = result->edges > 0 ? 8.0 * (double)result->edges : 0.0;
  if (is_map(item)) {
    result->bytes = 16.0 * (double)(result->n_in + result->n_out) + bytes;
    return LAT_STATUS_OK;
  }
  if (self->other) {
    status = add_operand_bytes(self, self->x, output->tensor, &bytes);
    if (!status) status = add_operand_bytes(self, self->other, output->tensor, &bytes);
  } else {
    bytes += feature_bytes(item, result->n_in, item->c_in);
    if (reads_twice(item)) bytes += feature_bytes(item, result->n_in, item->c_in);
  }
  int64_t channels = output->tensor ? lat_tensor_channels(output->tensor) : item->c_in;
  bytes += feature_bytes(item, result->n_out, channels);
  if (self->points) bytes += 12.0 * (double)lat_array_as_view(self->points).shape[0];
  if (item->op == PROBLEM_VOXELIZE) bytes += 16.0 * (double)result->n_out;
  result->bytes = bytes;
  return status;
}

/// Work and maps of a network: the sums over its layers.
static lat_status look_at_network(problem_case *self, bench_result *result) {
  double products = 0.0, map_ms = 0.0;
  lat_status status = problem_case_refresh(self);
  if (!status) status = problem_network_explain(self->context, &self->network, self->x, &products, &map_ms);
  result->flops = 2.0 * products;
  result->map = (bench_times){1, 1e-3 * map_ms, 1e-3 * map_ms, 0.0};
  problem_result output = {0};
  if (!status) status = problem_case_run(self, &output); // the session finds the new set's relations from now on
  problem_result_release(&output);
  return status;
}

static double useful_flops(const bench_result *result) {
  if (!problem_is_weighted(&result->item)) return NAN;
  double pairs = result->edges >= 0 ? (double)result->edges : (double)result->n_in;
  return 2.0 * pairs * (double)result->item.c_in * (double)result->item.c_out / (double)result->item.groups;
}

// --- steps ----------------------------------------------------------------------------------------------------------

static lat_status run_step(void *user, double *seconds) {
  problem_result output;
  double start = bench_seconds();
  lat_status status = problem_case_run(user, &output);
  *seconds = bench_seconds() - start;
  problem_result_release(&output);
  return status;
}

static lat_status first_step(void *user, double *seconds) {
  lat_status status = problem_case_refresh(user);
  return status ? status : run_step(user, seconds);
}

static lat_status map_step(void *user, double *seconds) {
  lat_relation *relation = NULL;
  lat_status status = problem_case_refresh(user);
  if (status) return status;
  double start = bench_seconds();
  status = problem_case_relation(user, &relation);
  *seconds = bench_seconds() - start;
  lat_relation_release(relation);
  return status;
}

static lat_status peer_step(void *user, double *seconds) {
  double start = bench_seconds();
  lat_status status = bench_naive_run(user);
  *seconds = bench_seconds() - start;
  return status;
}

// --- the parts of a measurement -------------------------------------------------------------------------------------

/// Runs once, which warms everything up, and takes down what the problem turned out to be.
static lat_status look(problem_case *self, bench_result *result, lat_relation **relation) {
  problem_result output;
  lat_status status = problem_case_run(self, &output);
  if (status) return status;
  result->n_in = lat_array_as_view(self->item.op == PROBLEM_VOXELIZE ? self->points : self->rows).shape[0];
  result->n_out = self->grad_out ? lat_array_as_view(self->grad_out).shape[0] : problem_result_rows(&output);
  result->edges = output.neighbors ? lat_neighbors_edges(output.neighbors).n_edges : -1;
  if (problem_case_has_relation(self)) status = problem_case_relation(self, relation);
  if (*relation) result->edges = lat_relation_n_edges(*relation);
  if (!status) status = problem_case_algorithm(self, result->algorithm, sizeof result->algorithm);
  if (!status) status = problem_case_candidates(self, &result->ways);
  if (!status) status = find_least_bytes(self, &output, result);
  result->flops = useful_flops(result);
  if (!status && self->item.op == PROBLEM_NETWORK) status = look_at_network(self, result);
  problem_result_release(&output);
  return status;
}

/// Fails when the peer's result is another one: then one of the two measures something else.
static lat_status check_peer(const problem_case *self, const bench_naive *naive) {
  problem_result output;
  if (self->packed) return LAT_STATUS_OK; // the peer has the weights before they were packed
  lat_status status = problem_case_run(self, &output);
  if (status) return status;
  lat_array_view feats = lat_tensor_feats(output.tensor);
  const float *y = feats.data;
  double worst = 0.0, largest = 0.0;
  for (int64_t i = 0; i < feats.shape[0] * feats.shape[1]; i++) {
    worst = fmax(worst, fabs((double)y[i] - (double)naive->y[i]));
    largest = fmax(largest, fabs((double)naive->y[i]));
  }
  problem_result_release(&output);
  if (worst <= 1e-4 * largest) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INTERNAL,
                  "bench: operator and naive peer disagree: got a difference of %g, expected at most %g", worst,
                  1e-4 * largest);
}

static lat_status measure_peer(const problem_case *self, lat_relation *relation, bench_result *result) {
  static const bench_policy policy = {3, 0.3, false};
  bench_naive naive;
  lat_status status = bench_naive_create(self, relation, result->n_out, &naive);
  if (status) return status;
  status = bench_naive_run(&naive);
  if (!status) status = check_peer(self, &naive);
  if (!status) status = bench_repeat(&policy, peer_step, &naive, &result->peer);
  bench_naive_release(&naive);
  return status;
}

/// Repeats everything that the problem has. Sets are replaced at the end, so that what the peak holds is one set's.
static lat_status measure_all(problem_case *self, const bench_policy *policy, bench_result *result) {
  lat_relation *relation = NULL;
  lat_status status = look(self, result, &relation);
  lat_context_reset_peak(self->context);
  if (!status) status = bench_repeat(policy, is_map(&self->item) ? first_step : run_step, self, &result->run);
  result->peak_bytes = lat_context_peak_bytes(self->context);
  if (!status && self->item.peer == PROBLEM_PEER_NAIVE) status = measure_peer(self, relation, result);
  lat_relation_release(relation);
  if (!status && problem_case_has_relation(self) && !is_map(&self->item)) {
    status = bench_repeat(policy, map_step, self, &result->map);
  }
  if (self->item.op == PROBLEM_RELATION) result->map = result->run;
  if (!status && caches_on_set(self)) status = bench_repeat(policy, first_step, self, &result->first);
  return status;
}

static lat_product product_of(const problem *item) {
  if (item->acts == PROBLEM_ACTS_INT8) return LAT_PRODUCT_INT8;
  bool bf16 =
      item->type == LAT_DTYPE_BF16 && item->weights == PROBLEM_WEIGHTS_BF16 && item->grad != PROBLEM_GRAD_WEIGHT;
  return bf16 && problem_is_weighted(item) ? LAT_PRODUCT_BF16 : LAT_PRODUCT_F32;
}

static lat_status measure_limit(lat_context *context, bench_result *result) {
  result->product = product_of(&result->item);
  if (problem_is_weighted(&result->item) || result->item.op == PROBLEM_NETWORK) {
    return bench_product_peak(context, result->product, &result->peak_gflops);
  }
  return bench_copy_bandwidth(result->threads, (size_t)(result->bytes / 2.0) + 1, &result->copy_gbs);
}

lat_status bench_measure(const problem *item, const bench_policy *policy, bench_result *out) {
  lat_context *context = NULL;
  problem_case inputs = {0};
  bench_result result = {.item = *item, .edges = -1, .cpu_time = policy->cpu_time, .peak_gflops = NAN, .copy_gbs = NAN};
  lat_status status = LAT_STATUS_OK;
  CLI_TRY(problem_context_create(item, &context), done);
  result.threads = lat_context_threads(context);
  result.level = lat_context_cpu_level(context);
  CLI_TRY(problem_case_create(context, item, &inputs), done);
  CLI_TRY(measure_all(&inputs, policy, &result), done);
  CLI_TRY(measure_limit(context, &result), done);
  *out = result;
done:
  problem_case_release(&inputs);
  lat_context_destroy(context);
  return status;
}
