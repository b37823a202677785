/// `lattice compress IN --model DIR --posq N -o OUT.lat`: codes a point cloud with a neural codec.
#include <stdio.h>

#include "cli.h"

static const char verb[] = "compress";

static int print_result(const char *in_path, const char *out_path, const lat_codec_info *info, double seconds,
                        bool json) {
  double bits = info->points ? 8.0 * (double)info->payload_bytes / (double)info->points : 0.0;
  if (json) {
    return cli_print_json(verb,
                          json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:i, s:f, s:f}", "file", in_path, "out", out_path,
                                    "posq", (int)info->voxel_mm, "points", (json_int_t)info->points, "voxels",
                                    (json_int_t)info->voxels, "payload_bytes", (json_int_t)info->payload_bytes,
                                    "levels", (int)info->levels, "bits_per_point", bits, "seconds", seconds));
  }
  printf("%lld points -> %lld voxels of %d mm, %lld bytes (%.3f bits a point), in %s\n", (long long)info->points,
         (long long)info->voxels, (int)info->voxel_mm, (long long)info->payload_bytes, bits, out_path);
  return CLI_OK;
}

int cmd_compress(int argc, char **argv) {
  bool json = false;
  int64_t floats = 0, threads = 0, posq = 0;
  const char *in_path = NULL, *out_path = NULL, *model = NULL;
  const cli_option options[] = {
      {"--model", NULL, "DIR", CLI_TEXT, &model, 0, 0, "folder of the network (tools/reno_artifact.py makes one)"},
      {"--posq", NULL, "N", CLI_INT, &posq, 1, LAT_CODEC_MAX_VOXEL_MM, "edge length of a voxel in millimetres"},
      {"--out", "-o", "OUT.lat", CLI_TEXT, &out_path, 0, 0, "file to write"},
      CLI_OPTION_FLOATS(&floats),
      CLI_OPTION_THREADS(&threads),
      CLI_OPTION_JSON(&json)};
  const cli_syntax syntax = {
      verb,
      "IN",
      "Codes a point cloud: positions are rounded to voxels, the voxels are coded with the\n"
      "probabilities that a network gives. --model, --posq and -o must be given.\n",
      options,
      CLI_COUNT(options),
      1,
      1,
      "Positions are taken as metres. A file that is there already stays whole until the new one\n"
      "is complete.\n"};
  int code = cli_parse(&syntax, argc, argv, &in_path, NULL);
  if (code != CLI_PARSED) return code;
  if (!model) return cli_usage_error(verb, "no network given, expected --model DIR");
  if (!posq) return cli_usage_error(verb, "no voxel size given, expected --posq N");
  if (!out_path) return cli_usage_error(verb, "no output given, expected -o OUT.lat");
  lat_status status = LAT_STATUS_OK;
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  lat_codec *codec = NULL;
  lat_array *stream = NULL;
  lat_codec_info info;
  CLI_TRY(cli_context_create(threads, 0, &context), done);
  CLI_TRY(lat_codec_open(context, model, &codec), done);
  CLI_TRY(cli_read_cloud(context, in_path, floats, &cloud), done);
  lat_array_view points = lat_cloud_positions(cloud);
  cli_progress(verb, "%lld points", (long long)lat_cloud_count(cloud));
  double start = cli_seconds();
  CLI_TRY(lat_codec_encode(context, codec, &points, (int32_t)posq, &stream, &info), done);
  double seconds = cli_seconds() - start;
  lat_array_view bytes = lat_array_as_view(stream);
  CLI_TRY(lat_codec_save(context, &bytes, out_path), done);
  cli_progress_end();
  code = print_result(in_path, out_path, &info, seconds, json);
done:
  cli_progress_end();
  if (status) code = cli_exit_code(verb, status);
  lat_array_release(stream);
  lat_codec_release(codec);
  lat_cloud_release(cloud);
  lat_context_destroy(context);
  return code;
}
