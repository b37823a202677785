/// `lattice decompress IN.lat -o OUT.ply`: the voxels of a coded cloud, at their positions in metres.
#include <stdio.h>

#include "codec_file.h"

static const char verb[] = "decompress";

static int print_result(const char *in_path, const char *out_path, const char *model, const lat_codec_info *info,
                        double seconds, bool json) {
  if (json) {
    return cli_print_json(verb,
                          json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:f}", "file", in_path, "out", out_path, "model",
                                    model, "posq", (int)info->voxel_mm, "points", (json_int_t)info->points, "voxels",
                                    (json_int_t)info->voxels, "seconds", seconds));
  }
  printf("%lld voxels of %d mm, in %s\n", (long long)info->voxels, (int)info->voxel_mm, out_path);
  return CLI_OK;
}

static lat_status write_points(lat_context *context, const lat_array *points, const char *path) {
  lat_cloud *cloud = NULL;
  lat_array_view view = lat_array_as_view(points);
  lat_status status = lat_cloud_create(context, &view, &cloud);
  if (status == LAT_STATUS_OK) status = lat_cloud_write_ply(context, cloud, path, NULL);
  lat_cloud_release(cloud);
  return status;
}

int cmd_decompress(int argc, char **argv) {
  bool json = false;
  int64_t threads = 0;
  const char *in_path = NULL, *out_path = NULL, *model = NULL;
  const cli_option options[] = {
      {"--out", "-o", "OUT.ply", CLI_TEXT, &out_path, 0, 0, "file to write"},
      {"--model", NULL, "DIR", CLI_TEXT, &model, 0, 0,
       "folder of the network (default: the one with the right digest\nbeside the file or in the current folder)"},
      CLI_OPTION_THREADS(&threads),
      CLI_OPTION_JSON(&json)};
  const cli_syntax syntax = {verb,
                             "IN.lat",
                             "Decodes a point cloud: one point for each voxel, in metres. -o must be given.\n",
                             options,
                             CLI_COUNT(options),
                             1,
                             1,
                             NULL};
  int code = cli_parse(&syntax, argc, argv, &in_path, NULL);
  if (code != CLI_PARSED) return code;
  if (!out_path) return cli_usage_error(verb, "no output given, expected -o OUT.ply");
  lat_status status = LAT_STATUS_OK;
  lat_context *context = NULL;
  lat_codec *codec = NULL;
  lat_array *stream = NULL, *points = NULL;
  lat_codec_info info;
  char folder[4096];
  CLI_TRY(cli_context_create(threads, 0, &context), done);
  CLI_TRY(lat_codec_load(context, in_path, &stream), done);
  lat_array_view bytes = lat_array_as_view(stream);
  CLI_TRY(lat_codec_inspect(context, &bytes, &info), done);
  if (model) {
    CLI_TRY(lat_codec_open(context, model, &codec), done);
  } else {
    CLI_TRY(cli_codec_find(context, in_path, info.network, folder, sizeof folder, &codec), done);
  }
  cli_progress(verb, "%lld voxels", (long long)info.voxels);
  double start = cli_seconds();
  CLI_TRY(lat_codec_decode(context, codec, &bytes, &points, NULL, &info), done);
  double seconds = cli_seconds() - start;
  CLI_TRY(write_points(context, points, out_path), done);
  cli_progress_end();
  code = print_result(in_path, out_path, model ? model : folder, &info, seconds, json);
done:
  cli_progress_end();
  if (status) code = cli_exit_code(verb, status);
  lat_array_release(points);
  lat_array_release(stream);
  lat_codec_release(codec);
  lat_context_destroy(context);
  return code;
}
