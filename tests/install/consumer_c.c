/* Uses the installed library from C11: a coordinate set and a tensor, checked by their values. */
#include <lattice/lattice.h>

#include <stdio.h>
#include <string.h>

static lat_status make_tensor(lat_context *context, lat_coords **coords, lat_tensor **tensor) {
  const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, -5, 1, 2147483647};
  const float feats[] = {1, 2, 3, 4, 5, 6};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_array_view feat_view = lat_view_2d(feats, LAT_DTYPE_F32, 3, 2);
  lat_status status = lat_coords_create(context, &row_view, NULL, coords);
  if (status == LAT_STATUS_OK) status = lat_tensor_create(context, *coords, &feat_view, NULL, tensor);
  return status;
}

int main(void) {
  char expected_version[32];
  lat_context *context = NULL;
  lat_coords *coords = NULL;
  lat_tensor *tensor = NULL;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  int good = 0;
  opts.n_threads = 1;
  snprintf(expected_version, sizeof expected_version, "%d.%d.%d", LAT_VERSION_MAJOR, LAT_VERSION_MINOR,
           LAT_VERSION_PATCH);
  lat_status status = lat_context_create(&opts, &context);
  if (status == LAT_STATUS_OK) status = make_tensor(context, &coords, &tensor);
  if (status != LAT_STATUS_OK) {
    fprintf(stderr, "%s\n", lat_last_error());
  } else {
    good = lat_tensor_count(tensor) == 3 && lat_tensor_channels(tensor) == 2 &&
           strcmp(lat_version(), expected_version) == 0;
  }
  lat_tensor_release(tensor);
  lat_coords_release(coords);
  lat_context_destroy(context);
  printf("consumer_c: lattice %s %s\n", lat_version(), good ? "works" : "FAILED");
  return good ? 0 : 1;
}
