// Out of memory while a model is built.
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_status build(lat_context *context) {
  lat_nn *nn = NULL;
  lat_model *model = NULL;
  lat_status status = lat_nn_create(context, &nn);
  if (status) {
    assert_null(nn);
    return status;
  }
  lat_value x = lat_nn_input(nn, "x", 32, NULL);
  lat_value h = lat_nn_conv3d(nn, x, 32, 8, NULL);
  h = lat_nn_relu(nn, lat_nn_batch_norm(nn, h, 8, NULL));
  for (int i = 0; i < 20; i++) h = lat_nn_subm_conv3d(nn, h, 8, 8, NULL);
  lat_nn_output(nn, "q", lat_nn_quantized_conv3d(nn, x, 32, 8, NULL));
  lat_nn_output(nn, "y", h);
  status = lat_nn_finish(nn, &model);
  if (status) assert_null(model);
  lat_model_release(model);
  return status;
}

static void test_build(void **state) {
  (void)state;
  lat_test_oom("nn", build);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_build)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
