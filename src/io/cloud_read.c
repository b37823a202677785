/// lat_cloud_read: finds out the format from the beginning of the file and hands it to the format's parser.
#include <string.h>
#include <strings.h>

#include "core/compiler.h"
#include "io/cloud_internal.h"
#include "io/io_content.h"
#include "io/io_file.h"

static bool starts_as_ply(const lat__io_content *content) {
  return content->n_bytes >= 4 && memcmp(content->bytes, "ply", 3) == 0 &&
         (content->bytes[3] == '\n' || content->bytes[3] == '\r');
}

/// A PCD file begins with a comment that names it, or at once with one of its first two lines.
static bool starts_as_pcd(const lat__io_content *content) {
  static const char *const starts[] = {"# .PCD", "#.PCD", "VERSION ", "FIELDS "};
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    size_t n = strlen(starts[i]);
    if ((uint64_t)content->n_bytes >= n && memcmp(content->bytes, starts[i], n) == 0) return true;
  }
  return false;
}

static bool starts_as_las(const lat__io_content *content) {
  return content->n_bytes >= 4 && memcmp(content->bytes, "LASF", 4) == 0;
}

static bool ends_with(const char *path, const char *ending) {
  size_t n = strlen(path), m = strlen(ending);
  return n >= m && strcasecmp(path + (n - m), ending) == 0;
}

static lat_cloud_format guess_format(const lat__io_content *content) {
  if (starts_as_ply(content) || ends_with(content->path, ".ply")) return LAT_CLOUD_FORMAT_PLY;
  if (starts_as_las(content) || ends_with(content->path, ".las")) return LAT_CLOUD_FORMAT_LAS;
  if (starts_as_pcd(content) || ends_with(content->path, ".pcd")) return LAT_CLOUD_FORMAT_PCD;
  if (ends_with(content->path, ".bin")) return LAT_CLOUD_FORMAT_KITTI;
  return LAT_CLOUD_FORMAT_AUTO;
}

static lat_status check_opts(const lat_cloud_read_opts *opts) {
  if (opts->format < LAT_CLOUD_FORMAT_AUTO || opts->format > LAT_CLOUD_FORMAT_LAS) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_read: format: got %d, expected a value of lat_cloud_format",
                    (int)opts->format);
  }
  if (opts->floats_per_point != 0 && opts->floats_per_point != 4 && opts->floats_per_point != 5) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "cloud_read: floats_per_point: got %d, expected 4 or 5, or 0 to decide",
                    (int)opts->floats_per_point);
  }
  return LAT_STATUS_OK;
}

/// For the parsers that want everything in memory.
static lat_status parse_whole(lat_context *context, const lat__io_content *content, lat_cloud_format format,
                              int32_t floats_per_point, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *bytes = NULL;
  lat__io_content whole;
  LAT_TRY(lat__io_content_load(context, content, &bytes, &whole), done);
  if (format == LAT_CLOUD_FORMAT_PLY) {
    LAT_TRY(lat__ply_parse(context, &whole, out), done);
  } else {
    LAT_TRY(lat__kitti_parse(context, &whole, floats_per_point, out), done);
  }
done:
  lat_array_release(bytes);
  return status;
}

static lat_status parse(lat_context *context, const lat__io_content *content, const lat_cloud_read_opts *opts,
                        lat_cloud **out) {
  lat_cloud_format format = opts->format ? opts->format : guess_format(content);
  if (format == LAT_CLOUD_FORMAT_PCD) return lat__pcd_parse(context, content, out);
  if (format == LAT_CLOUD_FORMAT_LAS) return lat__las_parse(context, content, out);
  if (format == LAT_CLOUD_FORMAT_PLY || format == LAT_CLOUD_FORMAT_KITTI) {
    return parse_whole(context, content, format, opts->floats_per_point, out);
  }
  return lat_fail(
      LAT_STATUS_UNSUPPORTED,
      "cloud_read: %s: unknown format: got a file that begins with '%s', expected PLY, PCD, LAS or a .bin of floats",
      lat__io_path(content->path).text,
      lat__io_excerpt(content->bytes, content->n_bytes < 8 ? content->n_bytes : 8).text);
}

lat_status lat_cloud_read(lat_context *context, const char *path, const lat_cloud_read_opts *opts, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_cloud_read_opts known = LAT_CLOUD_READ_OPTS_INIT;
  lat__io_file file = LAT__IO_FILE_INIT;
  lat__io_content content;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_read: out must not be NULL");
  *out = NULL;
  if (!context || !path) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_read: %s must not be NULL", context ? "path" : "context");
  }
  LAT_TRY(lat__io_copy_opts("cloud_read", opts, sizeof known, &known), done);
  LAT_TRY(check_opts(&known), done);
  LAT_TRY(lat__io_file_open(context, "cloud_read", path, &file, &content), done);
  LAT_TRY(parse(context, &content, &known, out), done);
done:
  lat__io_file_close(&file);
  return status;
}
