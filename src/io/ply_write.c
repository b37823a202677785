/// Writes clouds as PLY. The bytes depend on the cloud alone: no date, no version, no locale.
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "io/io_file.h"

#include <lattice/io.h>

static lat_status put_text(lat__io_writer *writer, const char *format, ...) LAT_PRINTF(2, 3);

/// Appends formatted text of at most 511 bytes.
static lat_status put_text(lat__io_writer *writer, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return lat__io_writer_put(writer, text, n < 0 ? 0 : (size_t)n);
}

static const char *property_type(lat_dtype dtype) {
  switch (dtype) {
  case LAT_DTYPE_F32:
  case LAT_DTYPE_F16:
  case LAT_DTYPE_BF16:
    return "float";
  case LAT_DTYPE_F64:
    return "double";
  case LAT_DTYPE_I32:
    return "int";
  case LAT_DTYPE_U32:
    return "uint";
  case LAT_DTYPE_U8:
    return "uchar";
  case LAT_DTYPE_I16:
    return "short";
  default:
    return NULL;
  }
}

/// As text that reads back to the same value. NaN has one spelling, whatever its sign.
static lat_status put_value_text(lat__io_writer *writer, const lat_array_view *view, int64_t index, char separator) {
  double value;
  int digits = 9;
  switch (view->dtype) {
  case LAT_DTYPE_I32:
    return put_text(writer, "%d%c", (int)((const int32_t *)view->data)[index], separator);
  case LAT_DTYPE_U32:
    return put_text(writer, "%u%c", (unsigned)((const uint32_t *)view->data)[index], separator);
  case LAT_DTYPE_U8:
    return put_text(writer, "%d%c", (int)((const uint8_t *)view->data)[index], separator);
  case LAT_DTYPE_I16:
    return put_text(writer, "%d%c", (int)((const int16_t *)view->data)[index], separator);
  case LAT_DTYPE_F16:
    value = (double)lat_f16_to_f32(((const uint16_t *)view->data)[index]);
    break;
  case LAT_DTYPE_BF16:
    value = (double)lat_bf16_to_f32(((const uint16_t *)view->data)[index]);
    break;
  case LAT_DTYPE_F64:
    value = ((const double *)view->data)[index];
    digits = 17;
    break;
  default:
    value = (double)((const float *)view->data)[index];
    break;
  }
  if (isnan(value)) return put_text(writer, "nan%c", separator);
  return put_text(writer, "%.*g%c", digits, value, separator);
}

static lat_status put_header(lat__io_writer *writer, const lat_cloud *cloud, bool ascii) {
  lat_status status = LAT_STATUS_OK;
  const char *type = property_type(lat_cloud_positions(cloud).dtype);
  LAT_TRY(put_text(writer, "ply\nformat %s 1.0\ncomment written by lattice\nelement vertex %lld\n",
                   ascii ? "ascii" : "binary_little_endian", (long long)lat_cloud_count(cloud)),
          done);
  LAT_TRY(put_text(writer, "property %s x\nproperty %s y\nproperty %s z\n", type, type, type), done);
  for (int32_t i = 0; i < lat_cloud_n_fields(cloud); i++) {
    LAT_TRY(put_text(writer, "property %s %s\n", property_type(lat_cloud_field(cloud, i).dtype),
                     lat_cloud_field_name(cloud, i)),
            done);
  }
  LAT_TRY(put_text(writer, "end_header\n"), done);
done:
  return status;
}

static lat_status put_value(lat__io_writer *writer, const lat_array_view *view, int64_t index, bool ascii, bool last) {
  uint8_t encoded[8];
  if (ascii) return put_value_text(writer, view, index, last ? '\n' : ' ');
  size_t n_bytes = lat__io_encode_value(view, index, encoded);
  return lat__io_writer_put(writer, encoded, n_bytes);
}

static lat_status put_points(lat__io_writer *writer, const lat_cloud *cloud, bool ascii) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view positions = lat_cloud_positions(cloud);
  int32_t n_fields = lat_cloud_n_fields(cloud);
  for (int64_t row = 0; row < lat_cloud_count(cloud); row++) {
    for (int32_t axis = 0; axis < 3; axis++) {
      LAT_TRY(put_value(writer, &positions, row * 3 + axis, ascii, axis == 2 && n_fields == 0), done);
    }
    for (int32_t i = 0; i < n_fields; i++) {
      lat_array_view field = lat_cloud_field(cloud, i);
      LAT_TRY(put_value(writer, &field, row, ascii, i == n_fields - 1), done);
    }
  }
done:
  return status;
}

static lat_status check_fields(const lat_cloud *cloud) {
  for (int32_t i = 0; i < lat_cloud_n_fields(cloud); i++) {
    lat_dtype dtype = lat_cloud_field(cloud, i).dtype;
    if (property_type(dtype)) continue;
    return lat_fail(
        LAT_STATUS_INVALID_DTYPE,
        "cloud_write_ply: field '%s': got %s, which PLY does not have, expected a "
        "float type, int32, uint32 or uint8",
        lat__io_excerpt(lat_cloud_field_name(cloud, i), (int64_t)strlen(lat_cloud_field_name(cloud, i))).text,
        lat_dtype_name(dtype));
  }
  return LAT_STATUS_OK;
}

/// Writes header and points with numbers in the C locale.
static lat_status put_cloud(lat__io_writer *writer, const lat_cloud *cloud, bool ascii) {
  lat_status status = LAT_STATUS_OK;
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "cloud_write_ply: no memory for the C locale");
  locale_t previous = uselocale(c_locale);
  LAT_TRY(put_header(writer, cloud, ascii), done);
  LAT_TRY(put_points(writer, cloud, ascii), done);
done:
  uselocale(previous);
  freelocale(c_locale);
  return status;
}

lat_status lat_cloud_write_ply(lat_context *context, const lat_cloud *cloud, const char *path,
                               const lat_ply_write_opts *opts) {
  lat_status status = LAT_STATUS_OK;
  lat_ply_write_opts known = LAT_PLY_WRITE_OPTS_INIT;
  lat__io_writer writer = LAT__IO_WRITER_INIT;
  if (!context || !cloud || !path) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_write_ply: %s must not be NULL",
                    !context ? "context"
                    : !cloud ? "cloud"
                             : "path");
  }
  LAT_TRY(lat__io_copy_opts("cloud_write_ply", opts, sizeof known, &known), done);
  LAT_TRY(check_fields(cloud), done);
  LAT_TRY(lat__io_writer_open(context, "cloud_write_ply", path, &writer), done);
  LAT_TRY(put_cloud(&writer, cloud, known.ascii != 0), done);
done:
  return lat__io_writer_close(&writer, status);
}
