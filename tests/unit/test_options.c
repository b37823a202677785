// Every options struct but those of test_options_ops, by its size: a wrong `struct_bytes` is refused, a smaller struct
// leaves later fields at their defaults, a larger one is taken when what the library does not know of it is zero, and is
// refused when it is not.

#include "support/good_arguments.h"
#include "support/options_check.h"

// --- one call for each function that takes options; what it makes is released ---

static lat_status context_create(const void *opts) {
  lat_context *made = NULL;
  lat_status status = lat_context_create(opts, &made);
  lat_context_destroy(made);
  return status;
}

static lat_status coords_create(const void *opts) {
  lat_array_view rows = lat_coords_rows(good.coords);
  lat_coords *made = NULL;
  lat_status status = lat_coords_create(good.context, &rows, opts, &made);
  lat_coords_release(made);
  return status;
}

static lat_status released_tensor(lat_status status, lat_tensor *made) {
  lat_tensor_release(made);
  return status;
}

static lat_status tensor_create(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_tensor_create(good.context, good.coords, &good.feat_view, opts, &made);
  return released_tensor(status, made);
}

static lat_status tensor_share(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_tensor_share(good.context, good.coords, lat_tensor_feats_array(good.tensor), opts, &made);
  return released_tensor(status, made);
}

static lat_status kernel_offsets(const void *opts) {
  lat_array *made = NULL;
  lat_status status = lat_kernel_offsets(good.context, opts, &made);
  lat_array_release(made);
  return status;
}

static lat_status released_relation(lat_status status, lat_relation *made) {
  lat_relation_release(made);
  return status;
}

static lat_status relation_create_forward(const void *opts) {
  lat_relation *made = NULL;
  lat_status status = lat_relation_create_forward(good.context, good.coords, opts, &made);
  return released_relation(status, made);
}

static lat_status relation_create_subm(const void *opts) {
  lat_relation *made = NULL;
  lat_status status = lat_relation_create_subm(good.context, good.coords, opts, &made);
  return released_relation(status, made);
}

static lat_status relation_create_target(const void *opts) {
  lat_relation *made = NULL;
  lat_status status = lat_relation_create_target(good.context, good.coords, good.coords, opts, &made);
  return released_relation(status, made);
}

static lat_status target_coords_create(const void *opts) {
  lat_coords *made = NULL;
  lat_status status =
      lat_target_coords_create(good.context, good.coords, &good.coord_view, LAT_RELATION_TARGET, opts, &made);
  lat_coords_release(made);
  return status;
}

static lat_status neighbors_create_radius(const void *opts) {
  lat_neighbors *made = NULL;
  lat_status status = lat_neighbors_create_radius(good.context, good.coords, NULL, opts, &made);
  lat_neighbors_release(made);
  return status;
}

static lat_status conv3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_conv3d(good.context, good.tensor, &good.conv_weight, NULL, opts, &made);
  return released_tensor(status, made);
}

static lat_status subm_conv3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_subm_conv3d(good.context, good.tensor, &good.conv_weight, NULL, opts, &made);
  return released_tensor(status, made);
}

static lat_status pool3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_pool3d(good.context, good.tensor, LAT_POOL_SUM, opts, &made);
  return released_tensor(status, made);
}

static lat_status batch_norm(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_batch_norm(good.context, good.tensor, opts, &made);
  return released_tensor(status, made);
}

static lat_status layer_norm(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_layer_norm(good.context, good.tensor, opts, &made);
  return released_tensor(status, made);
}

static lat_status rms_norm(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_rms_norm(good.context, good.tensor, opts, &made);
  return released_tensor(status, made);
}

static lat_status quantize_weight(const void *opts) {
  lat_quantized_weight *made = NULL;
  lat_status status = lat_quantize_weight(good.context, &good.feat_view, opts, &made);
  lat_quantized_weight_release(made);
  return status;
}

static lat_status cloud_read(const void *opts) {
  lat_cloud *made = NULL;
  lat_status status = lat_cloud_read(good.context, good.cloud_path, opts, &made);
  lat_cloud_release(made);
  return status;
}

static lat_status cloud_write_ply(const void *opts) {
  return lat_cloud_write_ply(good.context, good.cloud, good.cloud_path, opts);
}

static const options_call calls[] = {
    {"context_create", sizeof(lat_context_opts), context_create},
    {"coords_create", sizeof(lat_coords_opts), coords_create},
    {"tensor_create", sizeof(lat_tensor_opts), tensor_create},
    {"tensor_share", sizeof(lat_tensor_opts), tensor_share},
    {"kernel_offsets", sizeof(lat_kernel_opts), kernel_offsets},
    {"relation_create_forward", sizeof(lat_kernel_opts), relation_create_forward},
    {"relation_create_subm", sizeof(lat_kernel_opts), relation_create_subm},
    {"relation_create_target", sizeof(lat_kernel_opts), relation_create_target},
    {"target_coords_create", sizeof(lat_kernel_opts), target_coords_create},
    {"neighbors_create_radius", sizeof(lat_radius_opts), neighbors_create_radius},
    {"conv3d", sizeof(lat_conv3d_opts), conv3d},
    {"subm_conv3d", sizeof(lat_conv3d_opts), subm_conv3d},
    {"pool3d", sizeof(lat_kernel_opts), pool3d},
    {"batch_norm", sizeof(lat_norm_opts), batch_norm},
    {"layer_norm", sizeof(lat_norm_opts), layer_norm},
    {"rms_norm", sizeof(lat_norm_opts), rms_norm},
    {"quantize_weight", sizeof(lat_quantize_opts), quantize_weight},
    {"cloud_read", sizeof(lat_cloud_read_opts), cloud_read},
    {"cloud_write_ply", sizeof(lat_ply_write_opts), cloud_write_ply},
};

#define N_CALLS (sizeof calls / sizeof calls[0])

static void wrong_sizes_are_refused(void **state) {
  (void)state;
  options_check_wrong_sizes(calls, N_CALLS);
}

static void unknown_fields_must_be_zero(void **state) {
  (void)state;
  options_check_unknown_fields(calls, N_CALLS);
}

static void small_structs_mean_defaults(void **state) {
  (void)state;
  options_check_small_structs(calls, N_CALLS);
}

/// What lies behind a small struct is not read: here a negative thread count.
static void fields_behind_a_small_struct_are_ignored(void **state) {
  (void)state;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = -1;
  assert_int_equal(context_create(&opts), LAT_STATUS_INVALID_ARGUMENT);
  opts.struct_bytes = sizeof(size_t);
  lat_test_assert_ok(context_create(&opts));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_sizes_are_refused),
      cmocka_unit_test(unknown_fields_must_be_zero),
      cmocka_unit_test(small_structs_mean_defaults),
      cmocka_unit_test(fields_behind_a_small_struct_are_ignored),
  };
  return cmocka_run_group_tests(tests, good_arguments_set_up, good_arguments_tear_down);
}
