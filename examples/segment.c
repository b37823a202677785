// Semantic segmentation: a point cloud through MinkUNet18A, a class for every point, written as PLY.
//
//     segment IN OUT.ply [STATE.safetensors]
//
// Without a state the weights are random: the picture shows the geometry, not what things are.
#include <stdio.h>
#include <stdlib.h>

#include <lattice/io.h>
#include <lattice/lattice.h>

static void check(lat_status status) {
  if (status == LAT_STATUS_OK) return;
  fprintf(stderr, "segment: %s\n", lat_last_error());
  exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  lat_tensor *voxels = NULL;
  lat_model *model = NULL;
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_array *places = NULL, *scores = NULL, *classes = NULL;
  if (argc < 3) {
    fprintf(stderr, "usage: segment IN OUT.ply [STATE.safetensors]\n");
    return EXIT_FAILURE;
  }
  check(lat_context_create(NULL, &context));
  check(lat_cloud_read(context, argv[1], NULL, &cloud));
  lat_array_view points = lat_cloud_positions(cloud);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.05);
  check(lat_array_cast(context, &points, LAT_DTYPE_F32, &places)); // the features: where a point lies
  lat_array_view feats = lat_array_as_view(places);
  check(lat_voxelize(context, &points, &feats, &grid, LAT_VOXEL_MEAN, &voxels));

  check(lat_zoo_build(context, "minkunet18a", LAT_OPTS(lat_zoo_opts, .in_channels = 3), &model));
  if (argc > 3) check(lat_model_state_load(context, model, argv[3]));
  check(lat_model_compile(context, model, NULL, &program));
  const lat_binding input = {"x", voxels, NULL};
  check(lat_program_run(context, program, &input, 1, NULL, &results));

  for (int axis = 0; axis < 3; axis++)
    grid.origin[axis] = 0.025; // nearest rounds: half a voxel more is the point's own
  check(lat_devoxelize(context, &points, lat_results_tensor(results, "y"), &grid, LAT_INTERPOLATION_NEAREST, &scores));
  lat_array_view s = lat_array_as_view(scores);
  check(lat_array_full(context, LAT_DTYPE_U8, 1, &s.shape[0], 0.0, &classes));
  for (int64_t i = 0; i < s.shape[0]; i++) {
    const float *row = (const float *)s.data + i * s.shape[1];
    uint8_t *best = (uint8_t *)lat_array_data(classes) + i;
    for (int c = 1; c < (int)s.shape[1]; c++) *best = row[c] > row[*best] ? (uint8_t)c : *best;
  }
  lat_array_view labels = lat_array_as_view(classes);
  check(lat_cloud_add_field(context, cloud, "class", &labels));
  check(lat_cloud_write_ply(context, cloud, argv[2], NULL));
  printf("%lld points, %lld voxels\n", (long long)s.shape[0], (long long)lat_tensor_count(voxels));
  return EXIT_SUCCESS; // the process ends: what is left goes with it
}
