/// Writes pictures as PNG through libpng. libpng leaves by longjmp when something fails, so everything that happens
/// between setjmp and the end of the picture is in one small function without state of its own.
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "core/compiler.h"
#include "io/io_file.h"

#include <lattice/io.h>

/// What libpng's callbacks need.
typedef struct png_job {
  lat__io_writer *writer;
  lat_status status; ///< first failure
} png_job;

static void on_write(png_structp png, png_bytep bytes, size_t n_bytes) {
  png_job *job = png_get_io_ptr(png);
  job->status = lat__io_writer_put(job->writer, bytes, n_bytes);
  if (job->status) png_error(png, "write failed");
}

static void on_flush(png_structp png) {
  (void)png;
}

static void on_error(png_structp png, png_const_charp text) {
  png_job *job = png_get_error_ptr(png);
  if (!job->status) {
    job->status = lat_fail(LAT_STATUS_INTERNAL, "image_write_png: %s: libpng: %s", lat__io_path(job->writer->path).text,
                           lat__io_excerpt(text, (int64_t)strlen(text)).text);
  }
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void copy_row(const lat_array_view *image, int64_t row, uint8_t *out) {
  const uint8_t *source = (const uint8_t *)image->data + row * image->stride[0];
  for (int64_t column = 0; column < image->shape[1]; column++) {
    for (int64_t channel = 0; channel < 3; channel++) {
      *out++ = source[column * image->stride[1] + channel * image->stride[2]];
    }
  }
}

/// Returns through setjmp when libpng fails; the job then has the status.
static void encode(png_structp png, png_infop info, const lat_array_view *image, uint8_t *row) {
  if (setjmp(png_jmpbuf(png))) return;
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_set_IHDR(png, info, (png_uint_32)image->shape[1], (png_uint_32)image->shape[0], 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int64_t y = 0; y < image->shape[0]; y++) {
    copy_row(image, y, row);
    png_write_row(png, row);
  }
  png_write_end(png, NULL);
}

static lat_status write_picture(lat__io_writer *writer, const lat_array_view *image, uint8_t *row) {
  png_job job = {writer, LAT_STATUS_OK};
  png_infop info = NULL;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
  if (png) info = png_create_info_struct(png);
  if (!info) {
    png_destroy_write_struct(&png, NULL);
    return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "image_write_png: no memory for libpng");
  }
  png_set_write_fn(png, &job, on_write, on_flush);
  encode(png, info, image, row);
  png_destroy_write_struct(&png, &info);
  return job.status;
}

static lat_status check_image(const lat_array_view *image) {
  if (image->dtype != LAT_DTYPE_U8) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "image_write_png: image must be uint8: got %s",
                    lat_dtype_name(image->dtype));
  }
  if (image->rank != 3 || image->shape[2] != 3) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "image_write_png: image must have shape (H, W, 3): got rank %d",
                    (int)image->rank);
  }
  if (image->shape[0] < 1 || image->shape[1] < 1 || image->shape[0] > 0x7fffffff || image->shape[1] > 0x2aaaaaaa) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "image_write_png: image size: got %lld x %lld, expected 1 x 1 or more and "
                    "what a PNG can hold",
                    (long long)image->shape[1], (long long)image->shape[0]);
  }
  if (!image->data || image->device != LAT_DEVICE_CPU) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "image_write_png: image must have data in CPU memory");
  }
  return LAT_STATUS_OK;
}

lat_status lat_image_write_png(lat_context *context, const lat_array_view *image, const char *path) {
  lat_status status = LAT_STATUS_OK;
  lat_array *row = NULL;
  lat__io_writer writer = LAT__IO_WRITER_INIT;
  if (!context || !image || !path) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "image_write_png: %s must not be NULL",
                    !context ? "context"
                    : !image ? "image"
                             : "path");
  }
  LAT_TRY(check_image(image), done);
  LAT_TRY(lat__io_bytes_new(context, image->shape[1] * 3, &row), done);
  LAT_TRY(lat__io_writer_open(context, "image_write_png", path, &writer), done);
  LAT_TRY(write_picture(&writer, image, lat_array_data(row)), done);
done:
  lat_array_release(row);
  return lat__io_writer_close(&writer, status);
}
