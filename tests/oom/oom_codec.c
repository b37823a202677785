// Out of memory in the point-cloud codec, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/codec_folder.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define POINTS 100 // two levels: more than 64 parents once

static char folder[256];
static float points[POINTS][3];

static lat_codec *codec; // from a context of its own: reading artifacts has its own body

static lat_status open_body(lat_context *context) {
  lat_codec *opened = NULL;
  lat_status status = lat_codec_open(context, folder, &opened);
  lat_codec_release(opened);
  return status;
}

static lat_status encode_body(lat_context *context) {
  lat_array *stream = NULL;
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F32, POINTS, 3);
  lat_status status = lat_codec_encode(context, codec, &view, 100, &stream, NULL);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(stream));
  lat_array_release(stream);
  return status;
}

static lat_array *coded;

static lat_status decode_body(lat_context *context) {
  lat_array *voxels = NULL;
  lat_array_view bytes = lat_array_as_view(coded);
  lat_status status = lat_codec_decode(context, codec, &bytes, NULL, &voxels, NULL);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(voxels));
  lat_array_release(voxels);
  return status;
}

static void every_step(void **state) {
  (void)state;
  lat_context *context = NULL;
  for (int i = 0; i < POINTS; i++) {
    for (int axis = 0; axis < 3; axis++) points[i][axis] = (float)((i * (37 + 16 * axis)) % 101) * 0.25F;
  }
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F32, POINTS, 3);
  assert_true(lat_test_codec_folder(5, folder, sizeof folder));
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_test_assert_ok(lat_codec_open(context, folder, &codec));
  lat_test_assert_ok(lat_codec_encode(context, codec, &view, 100, &coded, NULL));
  lat_test_oom("codec_open", open_body);
  lat_test_oom("codec_encode", encode_body);
  lat_test_oom("codec_decode", decode_body);
  lat_array_release(coded);
  lat_codec_release(codec);
  lat_context_destroy(context);
  lat_test_codec_folder_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_step)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
