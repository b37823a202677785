// The options structs of operations, plans and gradients, by their size, as test_options has the others.

#include "support/good_arguments.h"
#include "support/options_check.h"

static lat_status released_tensor(lat_status status, lat_tensor *made) {
  lat_tensor_release(made);
  return status;
}

static lat_status released_relation(lat_status status, lat_relation *made) {
  lat_relation_release(made);
  return status;
}

static lat_status released_array(lat_status status, lat_array *made) {
  lat_array_release(made);
  return status;
}

static lat_status released_grads(lat_status status, lat_array *first, lat_array *second, lat_array *third) {
  lat_array_release(first);
  lat_array_release(second);
  lat_array_release(third);
  return status;
}

// Four rows of stride 2, so that transposed operations have somewhere to go, and what fits them.
static lat_coords *coarse_coords;
static lat_tensor *coarse;
static lat_weight coarse_weight;
static lat_array_view good_grad, fine_grad, dense_view, voxel_grad, collate_rows;
static lat_conv_tangents tangents;
static lat_plan_input plan_input;

static int set_up(void **state) {
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  if (good_arguments_set_up(state)) return 1;
  lat_test_assert_ok(lat_coords_create(good.context, &good.coord_view, &opts, &coarse_coords));
  lat_test_assert_ok(lat_tensor_create(good.context, coarse_coords, &good.feat_view, NULL, &coarse));
  coarse_weight = lat_weight_dense(lat_view(good.floats, LAT_DTYPE_F32, 3, (const int64_t[3]){8, GOOD_CHANNELS, 1}));
  good_grad = lat_view_2d(good.floats, LAT_DTYPE_F32, GOOD_ROWS, 1);
  fine_grad = lat_view_2d(good.floats, LAT_DTYPE_F32, GOOD_ROWS * 8, 1);
  dense_view = lat_view(good.floats, LAT_DTYPE_F32, 5, (const int64_t[5]){1, 2, 2, 2, 2});
  voxel_grad = lat_view_2d(good.floats, LAT_DTYPE_F32, lat_coords_count(lat_quantization_coords(good.quantization)),
                           GOOD_CHANNELS);
  collate_rows = lat_view_2d(good.rows, LAT_DTYPE_I32, GOOD_ROWS, 3);
  tangents.x = &good.feat_view;
  plan_input = (lat_plan_input){sizeof plan_input, good.coords, GOOD_CHANNELS, LAT_DTYPE_F32};
  return 0;
}

static int tear_down(void **state) {
  lat_tensor_release(coarse);
  lat_coords_release(coarse_coords);
  return good_arguments_tear_down(state);
}

static lat_status relation_create_transposed(const void *opts) {
  lat_relation *made = NULL;
  lat_status status = lat_relation_create_transposed(good.context, coarse_coords, opts, &made);
  return released_relation(status, made);
}

static lat_status relation_create_generative(const void *opts) {
  lat_relation *made = NULL;
  lat_status status = lat_relation_create_generative(good.context, coarse_coords, opts, &made);
  return released_relation(status, made);
}

static lat_status relation_create_target_transposed(const void *opts) {
  lat_relation *made = NULL;
  lat_status status = lat_relation_create_target_transposed(good.context, coarse_coords, good.coords, opts, &made);
  return released_relation(status, made);
}

static lat_status conv_transpose3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_conv_transpose3d(good.context, coarse, &coarse_weight, NULL, opts, &made);
  return released_tensor(status, made);
}

static lat_status generative_conv_transpose3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_generative_conv_transpose3d(good.context, coarse, &coarse_weight, NULL, opts, &made);
  return released_tensor(status, made);
}

static lat_status normalized_subm_conv3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_normalized_subm_conv3d(good.context, good.tensor, &good.conv_weight, NULL, opts, &made);
  return released_tensor(status, made);
}

static lat_status normalized_conv_transpose3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_normalized_conv_transpose3d(good.context, coarse, &coarse_weight, NULL, opts, &made);
  return released_tensor(status, made);
}

static lat_status conv3d_jvp(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_conv3d_jvp(good.context, good.tensor, &good.conv_weight, &tangents, opts, &made);
  return released_tensor(status, made);
}

static lat_status conv_transpose3d_jvp(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_conv_transpose3d_jvp(good.context, coarse, &coarse_weight, &tangents, opts, &made);
  return released_tensor(status, made);
}

static lat_status conv3d_backward(const void *opts) {
  lat_conv_grads made = {NULL, NULL, NULL};
  lat_status status = lat_conv3d_backward(good.context, good.tensor, &good.conv_weight, &good_grad, opts, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status subm_conv3d_backward(const void *opts) {
  lat_conv_grads made = {NULL, NULL, NULL};
  lat_status status = lat_subm_conv3d_backward(good.context, good.tensor, &good.conv_weight, &good_grad, opts, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status normalized_subm_conv3d_backward(const void *opts) {
  lat_conv_grads made = {NULL, NULL, NULL};
  lat_status status =
      lat_normalized_subm_conv3d_backward(good.context, good.tensor, &good.conv_weight, &good_grad, opts, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status conv_transpose3d_backward(const void *opts) {
  lat_conv_grads made = {NULL, NULL, NULL};
  lat_status status = lat_conv_transpose3d_backward(good.context, coarse, &coarse_weight, &fine_grad, opts, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status generative_conv_transpose3d_backward(const void *opts) {
  lat_conv_grads made = {NULL, NULL, NULL};
  lat_status status =
      lat_generative_conv_transpose3d_backward(good.context, coarse, &coarse_weight, &fine_grad, opts, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status normalized_conv_transpose3d_backward(const void *opts) {
  lat_conv_grads made = {NULL, NULL, NULL};
  lat_status status =
      lat_normalized_conv_transpose3d_backward(good.context, coarse, &coarse_weight, &fine_grad, opts, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status normalized_generative_conv_transpose3d_backward(const void *opts) {
  lat_conv_grads made = {NULL, NULL, NULL};
  lat_status status = lat_normalized_generative_conv_transpose3d_backward(good.context, coarse, &coarse_weight,
                                                                          &fine_grad, opts, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status conv3d_plan_create(const void *opts) {
  lat_plan *made = NULL;
  lat_status status = lat_conv3d_plan_create(good.context, &plan_input, &good.conv_weight, opts, NULL, &made);
  lat_plan_release(made);
  return status;
}

static lat_status linear_plan_create(const void *opts) {
  lat_plan *made = NULL;
  lat_status status = lat_linear_plan_create(good.context, &plan_input, &good.linear_weight, opts, &made);
  lat_plan_release(made);
  return status;
}

static lat_status weight_panels_create(const void *opts) {
  lat_weight_panels *made = NULL;
  lat_status status = lat_weight_panels_create(good.context, &good.linear_weight, opts, &made);
  lat_weight_panels_release(made);
  return status;
}

static lat_status pool3d_jvp(const void *opts) {
  lat_array *made = NULL;
  lat_status status = lat_pool3d_jvp(good.context, good.tensor, LAT_POOL_SUM, opts, &good.feat_view, &made);
  return released_array(status, made);
}

static lat_status pool_transpose3d(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_pool_transpose3d(good.context, coarse, NULL, opts, &made);
  return released_tensor(status, made);
}

static lat_status activation(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_activation(good.context, good.tensor, LAT_ACTIVATION_SOFTPLUS, opts, &made);
  return released_tensor(status, made);
}

static lat_status activation_features(const void *opts) {
  lat_array *made = NULL;
  lat_status status = lat_activation_features(good.context, &good.feat_view, LAT_ACTIVATION_RELU, opts, &made);
  return released_array(status, made);
}

static lat_status activation_backward(const void *opts) {
  lat_array *made = NULL;
  lat_status status =
      lat_activation_backward(good.context, good.tensor, LAT_ACTIVATION_RELU, &good.feat_view, opts, &made);
  return released_array(status, made);
}

static lat_status dropout(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_dropout(good.context, good.tensor, opts, &made);
  return released_tensor(status, made);
}

static lat_status dropout_backward(const void *opts) {
  lat_array *made = NULL;
  lat_status status = lat_dropout_backward(good.context, good.tensor, &good.feat_view, opts, &made);
  return released_array(status, made);
}

static lat_status instance_norm(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_instance_norm(good.context, good.tensor, opts, &made);
  return released_tensor(status, made);
}

static lat_status group_norm(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_group_norm(good.context, good.tensor, 2, opts, &made);
  return released_tensor(status, made);
}

static lat_status batch_norm_backward(const void *opts) {
  lat_norm_grads made = {NULL, NULL, NULL};
  lat_status status = lat_batch_norm_backward(good.context, good.tensor, &good.feat_view, opts, 0, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status layer_norm_backward(const void *opts) {
  lat_norm_grads made = {NULL, NULL, NULL};
  lat_status status = lat_layer_norm_backward(good.context, good.tensor, &good.feat_view, opts, 0, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status rms_norm_backward(const void *opts) {
  lat_norm_grads made = {NULL, NULL, NULL};
  lat_status status = lat_rms_norm_backward(good.context, good.tensor, &good.feat_view, opts, 0, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status instance_norm_backward(const void *opts) {
  lat_norm_grads made = {NULL, NULL, NULL};
  lat_status status = lat_instance_norm_backward(good.context, good.tensor, &good.feat_view, opts, 0, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status group_norm_backward(const void *opts) {
  lat_norm_grads made = {NULL, NULL, NULL};
  lat_status status = lat_group_norm_backward(good.context, good.tensor, 2, &good.feat_view, opts, 0, &made);
  return released_grads(status, made.x, made.weight, made.bias);
}

static lat_status sparse_binary(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_sparse_binary(good.context, good.tensor, good.tensor, opts, &made);
  return released_tensor(status, made);
}

static lat_status sparse_binary_backward(const void *opts) {
  lat_binary_grads made = {NULL, NULL};
  lat_status status = lat_sparse_binary_backward(good.context, good.tensor, good.tensor, opts, &good.feat_view, &made);
  return released_grads(status, made.lhs, made.rhs, NULL);
}

static lat_status to_dense(const void *opts) {
  lat_array *made = NULL;
  lat_status status = lat_to_dense(good.context, good.tensor, opts, &made);
  return released_array(status, made);
}

static lat_status from_dense(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_from_dense(good.context, &dense_view, opts, &made);
  return released_tensor(status, made);
}

static lat_status voxelize_quantized(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_voxelize_quantized(good.context, good.quantization, &good.feat_view, opts, &made);
  return released_tensor(status, made);
}

static lat_status voxelize_backward(const void *opts) {
  lat_array *made = NULL;
  lat_status status = lat_voxelize_backward(good.context, good.quantization, &good.feat_view, &voxel_grad, opts, &made);
  return released_array(status, made);
}

static lat_status voxelize_capped(const void *opts) {
  lat_capped_voxels made;
  lat_status status = lat_voxelize_capped(good.context, &good.position_view, &good.feat_view, &good.grid, opts, &made);
  lat_tensor_release(made.voxels);
  lat_quantization_release(made.quantization);
  return status;
}

static lat_status sparse_from_coordinates(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_sparse_from_coordinates(good.context, &good.coord_view, &good.feat_view, opts, &made);
  return released_tensor(status, made);
}

static lat_status sparse_from_coordinates_backward(const void *opts) {
  lat_array *made = NULL;
  lat_status status = lat_sparse_from_coordinates_backward(good.context, &good.coord_view, &good.feat_view,
                                                           &good.feat_view, opts, &made);
  return released_array(status, made);
}

static lat_status sparse_collate(const void *opts) {
  lat_tensor *made = NULL;
  lat_status status = lat_sparse_collate(good.context, &collate_rows, &good.feat_view, 1, opts, &made);
  return released_tensor(status, made);
}

static const options_call calls[] = {
    {"relation_create_transposed", sizeof(lat_kernel_opts), relation_create_transposed},
    {"relation_create_generative", sizeof(lat_kernel_opts), relation_create_generative},
    {"relation_create_target_transposed", sizeof(lat_kernel_opts), relation_create_target_transposed},
    {"conv_transpose3d", sizeof(lat_conv3d_opts), conv_transpose3d},
    {"generative_conv_transpose3d", sizeof(lat_conv3d_opts), generative_conv_transpose3d},
    {"normalized_subm_conv3d", sizeof(lat_conv3d_opts), normalized_subm_conv3d},
    {"normalized_conv_transpose3d", sizeof(lat_conv3d_opts), normalized_conv_transpose3d},
    {"conv3d_jvp", sizeof(lat_conv3d_opts), conv3d_jvp},
    {"conv_transpose3d_jvp", sizeof(lat_conv3d_opts), conv_transpose3d_jvp},
    {"conv3d_backward", sizeof(lat_conv3d_backward_opts), conv3d_backward},
    {"subm_conv3d_backward", sizeof(lat_conv3d_backward_opts), subm_conv3d_backward},
    {"normalized_subm_conv3d_backward", sizeof(lat_conv3d_backward_opts), normalized_subm_conv3d_backward},
    {"conv_transpose3d_backward", sizeof(lat_conv3d_backward_opts), conv_transpose3d_backward},
    {"generative_conv_transpose3d_backward", sizeof(lat_conv3d_backward_opts), generative_conv_transpose3d_backward},
    {"normalized_conv_transpose3d_backward", sizeof(lat_conv3d_backward_opts), normalized_conv_transpose3d_backward},
    {"normalized_generative_conv_transpose3d_backward", sizeof(lat_conv3d_backward_opts),
     normalized_generative_conv_transpose3d_backward},
    {"conv3d", sizeof(lat_conv3d_opts), conv3d_plan_create},
    {"linear", sizeof(lat_plan_opts), linear_plan_create},
    {"weight_panels_create", sizeof(lat_weight_panels_opts), weight_panels_create},
    {"pool3d_jvp", sizeof(lat_kernel_opts), pool3d_jvp},
    {"pool_transpose3d", sizeof(lat_kernel_opts), pool_transpose3d},
    {"activation", sizeof(lat_activation_opts), activation},
    {"activation_features", sizeof(lat_activation_opts), activation_features},
    {"activation_backward", sizeof(lat_activation_opts), activation_backward},
    {"dropout", sizeof(lat_dropout_opts), dropout},
    {"dropout_backward", sizeof(lat_dropout_opts), dropout_backward},
    {"instance_norm", sizeof(lat_norm_opts), instance_norm},
    {"group_norm", sizeof(lat_norm_opts), group_norm},
    {"batch_norm_backward", sizeof(lat_norm_opts), batch_norm_backward},
    {"layer_norm_backward", sizeof(lat_norm_opts), layer_norm_backward},
    {"rms_norm_backward", sizeof(lat_norm_opts), rms_norm_backward},
    {"instance_norm_backward", sizeof(lat_norm_opts), instance_norm_backward},
    {"group_norm_backward", sizeof(lat_norm_opts), group_norm_backward},
    {"sparse_binary", sizeof(lat_binary_opts), sparse_binary},
    {"sparse_binary_backward", sizeof(lat_binary_opts), sparse_binary_backward},
    {"to_dense", sizeof(lat_dense_opts), to_dense},
    {"from_dense", sizeof(lat_dense_opts), from_dense},
    {"voxelize_quantized", sizeof(lat_voxelize_opts), voxelize_quantized},
    {"voxelize_backward", sizeof(lat_voxelize_opts), voxelize_backward},
    {"voxelize_capped", sizeof(lat_capped_opts), voxelize_capped},
    {"sparse_from_coordinates", sizeof(lat_from_coordinates_opts), sparse_from_coordinates},
    {"sparse_from_coordinates_backward", sizeof(lat_from_coordinates_opts), sparse_from_coordinates_backward},
    {"sparse_collate", sizeof(lat_collate_opts), sparse_collate},
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_sizes_are_refused),
      cmocka_unit_test(unknown_fields_must_be_zero),
      cmocka_unit_test(small_structs_mean_defaults),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
