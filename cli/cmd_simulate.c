/// `lattice simulate`: a labelled lidar sweep of a street that exists nowhere.
#include <stdio.h>

#include "cli.h"
#include "simulate_street.h"

static const char verb[] = "simulate";

static const char notes[] =
    "Fields: intensity (float32, 0 to 1), label (uint8), ring (uint8, 0 the uppermost beam). Metres, x ahead, y left,\n"
    "z up, the scanner at the origin 1.73 m over the road. Labels:\n"
    "  0 unlabelled   1 road         2 sidewalk     3 terrain      4 building\n"
    "  5 vehicle      6 pole         7 vegetation   8 person       9 fence\n"
    "The same seed and number of points give the same file, byte for byte, on every machine.\n";

static void count_labels(const lat_cloud *cloud, int64_t counts[STREET_N_CLASSES]) {
  const uint8_t *labels = lat_cloud_field(cloud, lat_cloud_find_field(cloud, "label")).data;
  for (int i = 0; i < STREET_N_CLASSES; i++) counts[i] = 0;
  for (int64_t i = 0; i < lat_cloud_count(cloud); i++) counts[labels[i]]++;
}

static int print_result(const lat_cloud *cloud, int64_t seed, const char *out_path, bool json) {
  int64_t counts[STREET_N_CLASSES];
  count_labels(cloud, counts);
  if (json) {
    json_t *classes = json_array();
    for (int i = 0; i < STREET_N_CLASSES; i++) {
      json_array_append_new(classes, json_pack("{s:i, s:s, s:I}", "label", i, "name", street_class_name(i), "points",
                                               (json_int_t)counts[i]));
    }
    return cli_print_json(verb, json_pack("{s:s, s:I, s:I, s:o}", "out", out_path, "seed", (json_int_t)seed, "points",
                                          (json_int_t)lat_cloud_count(cloud), "classes", classes));
  }
  printf("%lld points in %s\n", (long long)lat_cloud_count(cloud), out_path);
  for (int i = 1; i < STREET_N_CLASSES; i++)
    printf("  %d %-11s %9lld\n", i, street_class_name(i), (long long)counts[i]);
  return CLI_OK;
}

int cmd_simulate(int argc, char **argv) {
  bool json = false;
  int64_t seed = 0, n_points = STREET_DEFAULT_POINTS;
  const char *out_path = NULL;
  const cli_option options[] = {
      {"--seed", NULL, "N", CLI_INT, &seed, 0, 0x1p53, "number of the street (default 0)"},
      {"--points", NULL, "N", CLI_INT, &n_points, 1000, STREET_MOST_POINTS, "about how many points (default 120000)"},
      {"--out", "-o", "OUT.ply", CLI_TEXT, &out_path, 0, 0, "file to write"},
      CLI_OPTION_JSON(&json)};
  const cli_syntax syntax = {
      verb,
      "",
      "Casts the rays of a 64-beam lidar into a made-up street (road, sidewalks, gardens, buildings,\n"
      "vehicles, poles, vegetation, people) and writes the labelled points. -o must be given.\n",
      options,
      CLI_COUNT(options),
      0,
      0,
      notes};
  int code = cli_parse(&syntax, argc, argv, NULL, NULL);
  if (code != CLI_PARSED) return code;
  if (!out_path) return cli_usage_error(verb, "no output given, expected -o OUT.ply");
  lat_status status = LAT_STATUS_OK;
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  CLI_TRY(cli_context_create(1, 0, &context), done);
  CLI_TRY(simulate_street(context, (uint64_t)seed, n_points, verb, &cloud), done);
  cli_progress(verb, "writing %s", out_path);
  CLI_TRY(lat_cloud_write_ply(context, cloud, out_path, NULL), done);
  cli_progress_end();
  code = print_result(cloud, seed, out_path, json);
done:
  if (status) code = cli_exit_code(verb, status);
  lat_cloud_release(cloud);
  lat_context_destroy(context);
  return code;
}
