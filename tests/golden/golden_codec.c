// The codec on real clouds: every readable cloud of the shared data comes back as exactly its rounded voxels, on every CPU
// level and for 1, 2 and 5 threads the same bytes; what float32 cannot say is refused.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/io.h>
#include <lattice/lattice.h>

#include "support/codec_folder.h"
#include "support/test_support.h"

static int compare_rows(const void *a, const void *b) {
  const int64_t *p = a, *q = b;
  for (int axis = 2; axis >= 0; axis--) {
    if (p[axis] != q[axis]) return p[axis] < q[axis] ? -1 : 1;
  }
  return 0;
}

static double value_at(const lat_array_view *points, int64_t i) {
  return points->dtype == LAT_DTYPE_F32 ? (double)((const float *)points->data)[i] : ((const double *)points->data)[i];
}

// What the encoder must do with a cloud: the rounded rows (sorted, distinct), or the fragment of its refusal.
typedef struct expectation {
  int64_t *rows, n;
  const char *refusal;
} expectation;

static expectation expect(const lat_array_view *points, int32_t voxel_mm) {
  int64_t n = points->shape[0];
  expectation e = {malloc((size_t)(3 * n + 3) * sizeof(int64_t)), 0, NULL};
  for (int64_t i = 0; i < 3 * n && !e.refusal; i++) {
    double at = value_at(points, i);
    float step = nextafterf(fabsf((float)at), INFINITY) - fabsf((float)at);
    e.rows[i] = (int64_t)rintl((rintl((long double)at * 1000.0L) + 131072.0L) / (long double)voxel_mm);
    if (!isfinite(at)) e.refusal = "must be finite";
    if (isfinite(at) && points->dtype == LAT_DTYPE_F32 && step * 1000 > 0.25 * voxel_mm) e.refusal = "too coarse";
    if (!e.refusal && (e.rows[i] < INT32_MIN || e.rows[i] > INT32_MAX)) e.refusal = "leaves int32";
  }
  if (e.refusal) return e;
  qsort(e.rows, (size_t)n, 3 * sizeof(int64_t), compare_rows);
  for (int64_t i = 0; i < n; i++) {
    if (e.n && compare_rows(e.rows + 3 * (e.n - 1), e.rows + 3 * i) == 0) continue;
    memmove(e.rows + 3 * e.n++, e.rows + 3 * i, 3 * sizeof(int64_t));
  }
  return e;
}

static void check_cloud(lat_context *context, const lat_codec *codec, const char *name, const lat_array_view *points,
                        int32_t voxel_mm) {
  expectation e = expect(points, voxel_mm);
  lat_array *stream = NULL, *voxels = NULL;
  lat_status status = lat_codec_encode(context, codec, points, voxel_mm, &stream, NULL);
  if (e.refusal) {
    printf("%s at %d mm: refused (%s)\n", name, voxel_mm, e.refusal);
    lat_test_assert_error(status, LAT_STATUS_INVALID_ARGUMENT, e.refusal);
    free(e.rows);
    return;
  }
  lat_test_assert_ok(status);
  lat_array_view bytes = lat_array_as_view(stream);
  lat_test_assert_ok(lat_codec_decode(context, codec, &bytes, NULL, &voxels, NULL));
  printf("%s at %d mm: %lld points, %lld voxels\n", name, voxel_mm, (long long)points->shape[0], (long long)e.n);
  assert_int_equal(lat_array_as_view(voxels).shape[0], e.n);
  const int32_t *got = lat_array_data(voxels);
  for (int64_t i = 0; i < 3 * e.n; i++) assert_int_equal(got[i], e.rows[i]);
  lat_array_release(stream);
  lat_array_release(voxels);
  free(e.rows);
}

static void every_cloud_comes_back(void **state) {
  (void)state;
  static const char *const files[] = {"cgal_b9_training.ply",
                                      "kitti_det_000001.bin",
                                      "mosd_test43.pcd",
                                      "laspy_file_with_both_wkt_and_geotiff_vlrs.las",
                                      "nuscenes_n015_LIDAR_TOP_1532402927647951.pcd.bin",
                                      "pcl_room_scan1.pcd",
                                      "pdal_sample_c.las",
                                      "samp11-utm-ground.pcd",
                                      "samp11-utm.pcd",
                                      "semantickitti_00_000000.bin",
                                      "stanford_bun_zipper.ply"};
  static const int32_t sizes[] = {100, 1000};
  char folder[256], path[1024];
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = 1;
  lat_context *context = NULL;
  lat_codec *codec = NULL;
  if (!lat_test_shared_path("data/kitti_det_000001.bin", path, sizeof path)) skip();
  assert_true(lat_test_codec_folder(3, folder, sizeof folder));
  lat_test_assert_ok(lat_context_create(&opts, &context));
  lat_test_assert_ok(lat_codec_open(context, folder, &codec));
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    char relative[256];
    lat_cloud *cloud = NULL;
    snprintf(relative, sizeof relative, "data/%s", files[i]);
    if (!lat_test_shared_path(relative, path, sizeof path)) continue;
    lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
    lat_array_view points = lat_cloud_positions(cloud);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
      check_cloud(context, codec, files[i], &points, sizes[s]);
    lat_cloud_release(cloud);
  }
  lat_codec_release(codec);
  lat_context_destroy(context);
  lat_test_codec_folder_remove(folder);
}

// The published network on a real frame: one stream, whatever codes it.
static void one_stream_on_every_level(void **state) {
  (void)state;
  char folder[256], path[1024];
  lat_context *reader = NULL;
  lat_cloud *cloud = NULL;
  lat_array *first = NULL;
  int n_tried = 0;
  if (!lat_test_shared_path("data/kitti_det_000001.bin", path, sizeof path)) skip();
  if (!lat_test_codec_folder(-1, folder, sizeof folder)) skip();
  lat_test_assert_ok(lat_context_create(NULL, &reader));
  lat_test_assert_ok(lat_cloud_read(reader, path, NULL, &cloud));
  lat_array_view points = lat_cloud_positions(cloud);
  for (int level = LAT_CPU_LEVEL_SCALAR; level <= LAT_CPU_LEVEL_AVX512; level++) {
    static const int32_t threads[] = {1, 2, 5};
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    lat_context *context = NULL;
    lat_codec *codec = NULL;
    lat_array *stream = NULL;
    opts.n_threads = threads[n_tried % 3];
    opts.cpu_level = (lat_cpu_level)level;
    if (lat_context_create(&opts, &context) != LAT_STATUS_OK) continue; // another family's level
    lat_test_assert_ok(lat_codec_open(context, folder, &codec));
    lat_test_assert_ok(lat_codec_encode(context, codec, &points, 512, &stream, NULL));
    if (!first) first = lat_array_retain(stream);
    assert_int_equal(lat_array_count(stream), lat_array_count(first));
    assert_memory_equal(lat_array_data(stream), lat_array_data(first), (size_t)lat_array_count(first));
    lat_array_release(stream);
    lat_codec_release(codec);
    lat_context_destroy(context);
    n_tried++;
  }
  assert_true(n_tried >= 2);
  lat_array_release(first);
  lat_cloud_release(cloud);
  lat_context_destroy(reader);
  lat_test_codec_folder_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_cloud_comes_back),
      cmocka_unit_test(one_stream_on_every_level),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
