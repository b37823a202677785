/// `lattice info PATH`: what a point-cloud file or (cmd_info_model.c) a model artifact holds.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

static const char verb[] = "info";

/// One line of the table: an axis or a field.
typedef struct column {
  const char *name;
  const char *dtype;
  cli_stats stats;
} column;

/// Column `index`: the three axes first, then the fields.
static column column_at(const lat_cloud *cloud, int32_t index) {
  static const char *const axes[3] = {"x", "y", "z"};
  lat_array_view view = index < 3 ? lat_cloud_positions(cloud) : lat_cloud_field(cloud, index - 3);
  column result = {index < 3 ? axes[index] : lat_cloud_field_name(cloud, index - 3), lat_dtype_name(view.dtype),
                   cli_compute_stats(&view, index < 3 ? index : 0, index < 3 ? 3 : 1, lat_cloud_count(cloud))};
  return result;
}

static json_t *column_json(const column *c) {
  return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "name", c->name, "dtype", c->dtype, "finite",
                   (json_int_t)c->stats.n_finite, "min", cli_json_real(c->stats.min), "max",
                   cli_json_real(c->stats.max), "mean", cli_json_real(c->stats.mean));
}

static int print_json(const char *path, const lat_cloud *cloud) {
  json_t *axes = json_array(), *fields = json_array();
  for (int32_t i = 0; i < 3 + lat_cloud_n_fields(cloud); i++) {
    column c = column_at(cloud, i);
    json_array_append_new(i < 3 ? axes : fields, column_json(&c));
  }
  return cli_print_json(verb,
                        json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "file", path, "format", lat_cloud_source(cloud),
                                  "points", (json_int_t)lat_cloud_count(cloud), "finite_points",
                                  (json_int_t)cli_count_finite(cloud), "axes", axes, "fields", fields));
}

static int print_text(const char *path, const lat_cloud *cloud) {
  printf("file    %s\nformat  %s\npoints  %lld, %lld of them finite\n\n", path, lat_cloud_source(cloud),
         (long long)lat_cloud_count(cloud), (long long)cli_count_finite(cloud));
  printf("%-20s %-8s %14s %14s %14s %10s\n", "column", "dtype", "min", "max", "mean", "finite");
  for (int32_t i = 0; i < 3 + lat_cloud_n_fields(cloud); i++) {
    column c = column_at(cloud, i);
    printf("%-20s %-8s ", c.name, c.dtype);
    if (c.stats.n_finite) {
      // float32 values have about seven digits; more would be noise.
      int digits = strcmp(c.dtype, "float32") == 0 ? 7 : 10;
      printf("%14.*g %14.*g %14.*g ", digits, c.stats.min, digits, c.stats.max, digits, c.stats.mean);
    } else {
      printf("%14s %14s %14s ", "-", "-", "-");
    }
    printf("%10lld\n", (long long)c.stats.n_finite);
  }
  return CLI_OK;
}

static bool is_folder(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

int cmd_info(int argc, char **argv) {
  bool json = false;
  int64_t floats = 0;
  const char *path = NULL;
  const cli_option options[] = {CLI_OPTION_FLOATS(&floats), CLI_OPTION_JSON(&json)};
  const cli_syntax syntax = {verb,
                             "FILE",
                             "Shows the format of a point-cloud file, the number of its points, and dtype, smallest,\n"
                             "largest and mean value of every column. NaN and infinities are left out and counted.\n"
                             "Of a directory with a model artifact: inputs, outputs, parameters and layers.\n",
                             options,
                             CLI_COUNT(options),
                             1,
                             1,
                             NULL};
  int code = cli_parse(&syntax, argc, argv, &path, NULL);
  if (code != CLI_PARSED) return code;
  lat_status status = LAT_STATUS_OK;
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  CLI_TRY(cli_context_create(1, 0, &context), done);
  if (is_folder(path)) {
    CLI_TRY(cli_info_model(context, verb, path, json, &code), done);
    goto done;
  }
  CLI_TRY(cli_read_cloud(context, path, floats, &cloud), done);
  code = json ? print_json(path, cloud) : print_text(path, cloud);
done:
  if (status) code = cli_exit_code(verb, status);
  lat_cloud_release(cloud);
  lat_context_destroy(context);
  return code;
}
