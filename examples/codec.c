// A cloud through the neural codec and back: codec MODEL_FOLDER SCAN VOXEL_MM
//
// Prints the size of the code and the largest distance of a point from the voxel that stands for it: at most half the
// diagonal of a voxel, and half a millimetre for the rounding to whole ones.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <lattice/io.h>
#include <lattice/lattice.h>

/// Largest distance of a point from the centre of its own voxel, both in metres.
static double largest_error(const lat_array_view *points, int32_t voxel_mm) {
  double largest = 0, size = 0.001 * voxel_mm;
  for (int64_t i = 0; i < points->shape[0]; i++) {
    double squared = 0;
    for (int64_t axis = 0; axis < 3; axis++) {
      double at = points->dtype == LAT_DTYPE_F32 ? (double)((const float *)points->data)[3 * i + axis]
                                                 : ((const double *)points->data)[3 * i + axis];
      double away = at + 131.072 - size * rint((at + 131.072) / size);
      squared += away * away;
    }
    largest = fmax(largest, sqrt(squared));
  }
  return largest;
}

static lat_status run(lat_context *context, const char *folder, const char *scan, int32_t voxel_mm) {
  lat_status status = LAT_STATUS_OK;
  lat_codec *codec = NULL;
  lat_cloud *cloud = NULL;
  lat_array *code = NULL, *points = NULL;
  lat_codec_info info;
  if ((status = lat_codec_open(context, folder, &codec))) goto done;
  if ((status = lat_cloud_read(context, scan, NULL, &cloud))) goto done;
  lat_array_view positions = lat_cloud_positions(cloud);
  if ((status = lat_codec_encode(context, codec, &positions, voxel_mm, &code, &info))) goto done;
  lat_array_view stream = lat_array_as_view(code);
  if ((status = lat_codec_decode(context, codec, &stream, &points, NULL, NULL))) goto done;
  printf("%lld points, %lld voxels, %lld bytes, %.3f bits a point\n", (long long)info.points, (long long)info.voxels,
         (long long)info.payload_bytes, 8.0 * (double)info.payload_bytes / (double)info.points);
  printf("decoded %lld voxels; a point is at most %.4f m from its voxel\n",
         (long long)lat_array_as_view(points).shape[0], largest_error(&positions, voxel_mm));
done:
  lat_array_release(points);
  lat_array_release(code);
  lat_cloud_release(cloud);
  lat_codec_release(codec);
  return status;
}

int main(int argc, char **argv) {
  lat_context *context = NULL;
  if (argc != 4) return fprintf(stderr, "usage: codec MODEL_FOLDER SCAN VOXEL_MM\n"), 2;
  lat_status status = lat_context_create(NULL, &context);
  if (!status) status = run(context, argv[1], argv[2], (int32_t)strtol(argv[3], NULL, 10));
  if (status) fprintf(stderr, "codec: %s\n", lat_last_error());
  lat_context_destroy(context);
  return status ? 1 : 0;
}
