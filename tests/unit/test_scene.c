// Scenes of problem strings: what they hold, that they depend on the string alone, and what happens without their files.
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

static lat_context *new_context(void) {
  lat_context *context = NULL;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  return context;
}

static lat_array *rows_of(lat_context *context, const char *text) {
  problem item;
  lat_array *rows = NULL;
  lat_test_assert_ok(problem_parse(text, &item));
  lat_test_assert_ok(scene_rows(context, &item, &rows));
  return rows;
}

static int64_t count(const lat_array *array) {
  return lat_array_as_view(array).shape[0];
}

static int compare_rows(const void *a, const void *b) {
  return memcmp(a, b, 4 * sizeof(int32_t));
}

static void assert_distinct(lat_array *rows) {
  int32_t *row = lat_array_data(rows);
  qsort(row, (size_t)count(rows), 4 * sizeof *row, compare_rows);
  for (int64_t i = 1; i < count(rows); i++) assert_true(compare_rows(row + 4 * i - 4, row + 4 * i) != 0);
}

static void test_random_rows(void **state) {
  (void)state;
  lat_context *context = new_context();
  static const char *const texts[] = {"relu:n=1,density=1", "relu:n=8,density=1", "relu:n=1000,density=1",
                                      "relu:n=1001,batch=3,density=0.5", "relu:n=20k,seed=5,density=0.01"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    lat_array *rows = rows_of(context, texts[i]);
    problem item;
    lat_test_assert_ok(problem_parse(texts[i], &item));
    assert_int_equal(count(rows), item.n);
    const int32_t *row = lat_array_data(rows);
    int64_t n_negative = 0, largest_batch = 0;
    for (int64_t r = 0; r < item.n; r++) {
      n_negative += row[4 * r + 1] < 0;
      assert_in_range(row[4 * r], 0, item.batch - 1);
      if (row[4 * r] > largest_batch) largest_batch = row[4 * r];
    }
    if (item.n >= 1000) {
      assert_in_range(n_negative, item.n / 3, item.n * 2 / 3);
      assert_int_equal(largest_batch, item.batch - 1);
    }
    assert_distinct(rows);
    lat_array_release(rows);
  }
  lat_array *none = rows_of(context, "relu:n=0");
  assert_int_equal(count(none), 0);
  lat_array_release(none);
  lat_context_destroy(context);
}

static void test_rows_depend_on_the_string_alone(void **state) {
  (void)state;
  lat_context *context = new_context(), *other = new_context();
  lat_array *a = rows_of(context, "relu:n=5k,seed=3"), *b = rows_of(other, "conv3d:n=5k,seed=3,cin=8");
  lat_array *c = rows_of(context, "relu:n=5k,seed=4");
  assert_memory_equal(lat_array_data(a), lat_array_data(b), 5000 * 16);
  assert_memory_not_equal(lat_array_data(a), lat_array_data(c), 5000 * 16);
  lat_array_release(a);
  lat_array_release(b);
  lat_array_release(c);
  lat_context_destroy(context);
  lat_context_destroy(other);
}

static void check_points(lat_context *context, const char *text, int64_t expected) {
  problem item;
  lat_array *points = NULL, *batches = NULL, *rows = NULL;
  lat_test_assert_ok(problem_parse(text, &item));
  lat_test_assert_ok(scene_points(context, &item, &points, &batches));
  assert_int_equal(lat_array_as_view(points).rank, 2);
  assert_int_equal(lat_array_as_view(points).shape[1], 3);
  assert_int_equal(count(points), count(batches));
  if (expected >= 0) assert_int_equal(count(points), expected);
  const int32_t *batch = lat_array_data(batches);
  for (int64_t i = 0; i < count(batches); i++) assert_in_range(batch[i], 0, item.batch - 1);
  lat_test_assert_ok(scene_rows(context, &item, &rows));
  if (count(points) > 0) assert_in_range(count(rows), 1, count(points));
  assert_distinct(rows);
  lat_array_release(points);
  lat_array_release(batches);
  lat_array_release(rows);
}

static void test_points(void **state) {
  (void)state;
  lat_context *context = new_context();
  check_points(context, "voxelize:n=0", 0);
  check_points(context, "voxelize:n=1", 1);
  check_points(context, "voxelize:n=4001,batch=3,voxel=0.2", 4001);
  check_points(context, "voxelize:scene=street,n=0,batch=2", 0);
  check_points(context, "voxelize:scene=street,n=2k,batch=2", -1);
  lat_context_destroy(context);
}

static void test_scan(void **state) {
  (void)state;
  lat_context *context = new_context();
  char path[64] = "/tmp/lattice_scene_XXXXXX.ply", text[128];
  int handle = mkstemps(path, 4);
  assert_true(handle >= 0);
  static const char ply[] = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
                            "property float z\nend_header\n0.5 0.5 0.5\n0.6 0.5 0.5\n-1.5 0 0\n";
  assert_int_equal(write(handle, ply, sizeof ply - 1), sizeof ply - 1);
  close(handle);
  snprintf(text, sizeof text, "relu:scan=%s,voxel=1,batch=2", path);
  lat_array *rows = rows_of(context, text);
  static const int32_t expected[] = {0, 0, 0, 0, 0, -2, 0, 0, 1, 0, 0, 0, 1, -2, 0, 0};
  assert_int_equal(count(rows), 4);
  assert_memory_equal(lat_array_data(rows), expected, sizeof expected);
  lat_array_release(rows);
  snprintf(text, sizeof text, "voxelize:scan=%s,voxel=1,n=2", path);
  check_points(context, text, 2);
  unlink(path);

  problem item;
  lat_array *none = NULL;
  snprintf(text, sizeof text, "relu:scan=%s", path);
  lat_test_assert_ok(problem_parse(text, &item));
  lat_test_assert_error(scene_rows(context, &item, &none), LAT_STATUS_IO_ERROR, path);
  assert_null(none);
  lat_context_destroy(context);
}

static void test_lexicographic_order(void **state) {
  (void)state;
  lat_context *context = new_context();
  lat_array *rows = rows_of(context, "relu:n=3k,batch=3,order=lex"), *plain = rows_of(context, "relu:n=3k,batch=3");
  int32_t *row = lat_array_data(rows);
  assert_int_equal(count(rows), 3000);
  for (int64_t i = 4; i < 4 * count(rows); i += 4) {
    int64_t axis = 0;
    while (axis < 3 && row[i - 4 + axis] == row[i + axis]) axis++;
    assert_true(row[i - 4 + axis] < row[i + axis]);
  }
  assert_memory_not_equal(lat_array_data(plain), row, 3000 * 16);
  qsort(row, 3000, 16, compare_rows);
  qsort(lat_array_data(plain), 3000, 16, compare_rows);
  assert_memory_equal(lat_array_data(plain), row, 3000 * 16); // the same rows
  lat_array_release(rows);
  lat_array_release(plain);
  lat_context_destroy(context);
}

static void test_merged_sweeps(void **state) {
  (void)state;
  lat_context *context = new_context();
  lat_array *one = rows_of(context, "relu:scene=street,n=20k,voxel=0.5");
  lat_array *four = rows_of(context, "relu:scene=street,n=20k,voxel=0.5,sweeps=4");
  lat_coords *set = NULL, *merged = NULL;
  lat_array *found = NULL;
  lat_array_view rows = lat_array_as_view(one), all = lat_array_as_view(four);
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &set));
  lat_test_assert_ok(lat_coords_create(context, &all, NULL, &merged));
  lat_test_assert_ok(lat_coords_inverse_map(context, set, merged, &found));
  // The first sweep is in the merged scene, and the others hit the same street: they add less than as much each.
  int64_t n_found = 0;
  const int32_t *at = lat_array_data(found);
  for (int64_t i = 0; i < count(found); i++) n_found += at[i] >= 0;
  assert_int_equal(n_found, count(one));
  assert_in_range(count(four), count(one) * 5 / 4, count(one) * 3);
  lat_array_release(one);
  lat_array_release(four);
  lat_array_release(found);
  lat_coords_release(set);
  lat_coords_release(merged);
  lat_context_destroy(context);
}

static void test_shared_scenes(void **state) {
  (void)state;
  char path[1024];
  if (!lat_test_shared_path("bench/cpu_lidar.bin", path, sizeof path)) skip();
  *strrchr(path, '/') = '\0';
  *strrchr(path, '/') = '\0';
  setenv("LATTICE_SHARED", path, 1);
  lat_context *context = new_context();
  lat_array *rows = rows_of(context, "relu:scene=cpu_lidar");
  assert_int_equal(count(rows), 90987);
  assert_distinct(rows);
  lat_array_release(rows);
  rows = rows_of(context, "relu:scene=cpu_indoor");
  assert_int_equal(count(rows), 206397);
  lat_array_release(rows);
  rows = rows_of(context, "relu:scene=cpu_indoor,n=100,batch=2");
  assert_int_equal(count(rows), 200);
  assert_int_equal(((int32_t *)lat_array_data(rows))[400], 1);
  lat_array_release(rows);
  check_points(context, "voxelize:scene=cpu_lidar,n=1k,batch=2", 2000);
  lat_context_destroy(context);
}

static void assert_fails(const char *text, lat_status expected, const char *fragment) {
  lat_context *context = new_context();
  problem item;
  lat_array *rows = NULL, *points = NULL, *batches = NULL;
  lat_test_assert_ok(problem_parse(text, &item));
  lat_test_assert_error(scene_rows(context, &item, &rows), expected, fragment);
  lat_test_assert_error(scene_points(context, &item, &points, &batches), expected, fragment);
  assert_null(rows);
  assert_null(points);
  assert_null(batches);
  lat_context_destroy(context);
}

static void test_missing_and_broken_files(void **state) {
  (void)state;
  char folder[] = "/tmp/lattice_shared_XXXXXX", path[128];
  assert_non_null(mkdtemp(folder));
  setenv("LATTICE_SHARED", folder, 1);
  assert_fails("relu:scene=cpu_lidar", LAT_STATUS_IO_ERROR,
               "set LATTICE_SHARED to the folder that has bench/cpu_lidar.bin");
  snprintf(path, sizeof path, "mkdir %s/bench && printf '\\003\\000\\000\\000abc' > %s/bench/cpu_lidar.bin", folder,
           folder);
  assert_int_equal(system(path), 0);
  assert_fails("relu:scene=cpu_lidar", LAT_STATUS_BAD_DATA, "is no voxel list: got 7 bytes, expected 4 + 12 * 3");
  snprintf(path, sizeof path, "rm %s/bench/cpu_lidar.bin && rmdir %s/bench %s", folder, folder, folder);
  assert_int_equal(system(path), 0);
  assert_fails("relu:scene=street,n=21M", LAT_STATUS_INVALID_ARGUMENT, "expected at most 20000000");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_rows),
      cmocka_unit_test(test_rows_depend_on_the_string_alone),
      cmocka_unit_test(test_points),
      cmocka_unit_test(test_scan),
      cmocka_unit_test(test_lexicographic_order),
      cmocka_unit_test(test_merged_sweeps),
      cmocka_unit_test(test_shared_scenes),
      cmocka_unit_test(test_missing_and_broken_files),
  };
  return cmocka_run_group_tests_name("scene", tests, NULL, NULL);
}
