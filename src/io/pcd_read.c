/// Reads a PCD file into a cloud: header, a column for every element of every field, body. A binary body holds points one
/// after the other; a binary_compressed one holds an LZF stream of the fields one after the other.
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "io/io_content.h"
#include "io/lzf.h"
#include "io/pcd.h"

/// Everything the parser keeps while it works. Too large for the stack of a small thread, so it lives in an array.
typedef struct pcd_job {
  const lat__io_content *content;
  lat__pcd_header header;
  lat__table table;
  lat_array *unpacked;   ///< of a compressed body
  lat_array *bytes;      ///< of a body that is read as a whole
  lat__io_content whole; ///< likewise
} pcd_job;

/// 0, 1, 2 for the fields x, y, z; -1 for others.
static int32_t axis_of(const lat__pcd_field *field) {
  if (field->name_bytes != 1 || field->name[0] < 'x' || field->name[0] > 'z') return -1;
  return field->name[0] - 'x';
}

/// Colours packed into the bits of a float: as a number they would lose NaN payloads and mean nothing.
static bool is_packed_colour(const lat__pcd_field *field) {
  bool named = (field->name_bytes == 3 && memcmp(field->name, "rgb", 3) == 0) ||
               (field->name_bytes == 4 && memcmp(field->name, "rgba", 4) == 0);
  return named && field->type == LAT__SCALAR_F32;
}

static lat_status field_error(const pcd_job *job, const lat__pcd_field *field, const char *what) {
  return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: header: field '%s': %s", lat__io_path(job->content->path).text,
                  lat__io_excerpt(field->name, field->name_bytes).text, what);
}

/// Adds the columns of a field: `name`, or `name_0`, `name_1`, … when it has several elements. `offset`: of its first
/// value in a point.
static lat_status add_field(pcd_job *job, const lat__pcd_field *field, int64_t offset) {
  if (axis_of(field) >= 0 && field->count != 1) return field_error(job, field, "got COUNT above 1, expected 1");
  for (int32_t element = 0; element < field->count; element++) {
    char name[LAT__TABLE_NAME_BYTES + 16];
    int n = snprintf(name, sizeof name, "%.*s", (int)field->name_bytes, field->name);
    if (field->count > 1) n += snprintf(name + n, sizeof name - (size_t)n, "_%d", (int)element);
    if (n > LAT__TABLE_NAME_BYTES) return field_error(job, field, "name too long: expected at most 255 bytes");
    if (lat__table_find(&job->table, name) >= 0) {
      return field_error(job, field, "name twice: expected distinct names (an element is called NAME_INDEX)");
    }
    lat__column *column = lat__table_add(&job->table, field->type, axis_of(field));
    if (!column) return field_error(job, field, "too many values a point: expected at most 512");
    memcpy(column->name, name, (size_t)n + 1);
    column->bits = is_packed_colour(field);
    column->offset = offset + (int64_t)element * field->size;
    column->step = job->header.record_bytes;
  }
  return LAT_STATUS_OK;
}

static lat_status add_columns(pcd_job *job) {
  lat_status status = LAT_STATUS_OK;
  int64_t offset = 0;
  for (int32_t i = 0; i < job->header.n_fields; i++) {
    const lat__pcd_field *field = &job->header.fields[i];
    if (!field->padding) LAT_TRY(add_field(job, field, offset), done);
    offset += (int64_t)field->size * field->count;
  }
  job->table.n_rows = job->header.points;
done:
  return status;
}

/// Checks that x, y, z are there and decides the dtype of the positions: float64 where float32 would not hold the file's
/// type.
static lat_status check_axes(const pcd_job *job, lat_dtype *dtype) {
  static const char *const names[3] = {"x", "y", "z"};
  *dtype = LAT_DTYPE_F32;
  for (int32_t axis = 0; axis < 3; axis++) {
    int32_t index = lat__table_find(&job->table, names[axis]);
    if (index < 0) {
      return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: header: no field %s: got %d fields, expected x, y and z",
                      lat__io_path(job->content->path).text, names[axis], (int)job->header.n_fields);
    }
    lat__scalar type = job->table.columns[index].type;
    if (type > LAT__SCALAR_U16 && type != LAT__SCALAR_F32) *dtype = LAT_DTYPE_F64;
  }
  return LAT_STATUS_OK;
}

/// Checks that the points which the header claims can stand in `room` bytes, before any memory is taken.
static lat_status check_claim(const pcd_job *job, int64_t least, int64_t room) {
  if (job->header.points <= room / least) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_BAD_DATA,
                  "cloud_read: %s: the header claims %lld points of at least %lld bytes: got %lld bytes after the "
                  "header, expected more (truncated or lying)",
                  lat__io_path(job->content->path).text, (long long)job->header.points, (long long)least,
                  (long long)(job->content->n_bytes - job->header.data_offset));
}

/// White space may follow the points (editors and pipes add it), and zeros (writers that map whole pages leave them);
/// anything else means that the header lies.
static lat_status check_rest(lat_context *context, const pcd_job *job, int64_t at) {
  lat_status status = LAT_STATUS_OK;
  lat__io_window window;
  const int64_t n_bytes = job->content->n_bytes;
  LAT_TRY(lat__io_window_open(context, job->content, &window), done);
  while (at < n_bytes) {
    const uint8_t *bytes = NULL;
    int64_t n = lat__min_i64(LAT__IO_WINDOW_BYTES, n_bytes - at), i = 0;
    LAT_TRY(lat__io_window_get(&window, at, n, &bytes), done);
    while (i < n && memchr(" \t\r\n", bytes[i], 5)) i++;
    at += i;
    if (i == n) continue;
    status = lat_fail(LAT_STATUS_BAD_DATA,
                      "cloud_read: %s: byte %lld: data after the last point: got %lld bytes more, expected the end of "
                      "the file",
                      lat__io_path(job->content->path).text, (long long)at, (long long)(n_bytes - at));
    goto done;
  }
done:
  lat__io_window_close(&window);
  return status;
}

static lat_status check_values(const pcd_job *job, const lat__bad_value *bad) {
  if (!bad->column) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_BAD_DATA,
                  "cloud_read: %s: point %lld: field '%s': got a value above 9223372036854775807, expected one that "
                  "int64 holds",
                  lat__io_path(job->content->path).text, (long long)bad->row,
                  lat__io_excerpt(bad->column->name, (int64_t)strlen(bad->column->name)).text);
}

/// From now on the whole content is in memory.
static lat_status load(lat_context *context, pcd_job *job) {
  lat_status status = lat__io_content_load(context, job->content, &job->bytes, &job->whole);
  if (!status) job->content = &job->whole;
  return status;
}

static lat_status read_binary(lat_context *context, pcd_job *job, lat_dtype dtype) {
  lat_status status = LAT_STATUS_OK;
  const lat__pcd_header *header = &job->header;
  lat__bad_value bad;
  LAT_TRY(check_claim(job, header->record_bytes, job->content->n_bytes - header->data_offset), done);
  LAT_TRY(check_rest(context, job, header->data_offset + header->points * header->record_bytes), done);
  LAT_TRY(lat__table_allocate(context, &job->table, dtype), done);
  LAT_TRY(lat__table_read(context, &job->table, job->content, header->data_offset, header->record_bytes, &bad), done);
  LAT_TRY(check_values(job, &bad), done);
done:
  return status;
}

static lat_status read_ascii(lat_context *context, pcd_job *job, lat_dtype dtype) {
  lat_status status = LAT_STATUS_OK;
  // A digit and a separator for each value; the last separator may be missing.
  LAT_TRY(check_claim(job, 2 * job->header.n_words, job->content->n_bytes - job->header.data_offset + 1), done);
  LAT_TRY(load(context, job), done);
  LAT_TRY(lat__table_allocate(context, &job->table, dtype), done);
  LAT_TRY(lat__pcd_read_ascii(job->content, &job->header, &job->table), done);
done:
  return status;
}

/// The sizes in front of a compressed body, and what the stream really holds.
typedef struct packed_sizes {
  int64_t packed, unpacked;
  const uint8_t *stream;
} packed_sizes;

static lat_status size_error(const pcd_job *job, const char *what, int64_t got, const char *expected, int64_t limit) {
  return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: byte %lld: %s: got %lld, expected %s %lld",
                  lat__io_path(job->content->path).text, (long long)job->header.data_offset, what, (long long)got,
                  expected, (long long)limit);
}

/// Reads the two sizes and believes them only when the header, the file and the stream itself agree: no memory has been
/// taken for the points before.
static lat_status check_packed(lat_context *context, const pcd_job *job, packed_sizes *sizes) {
  lat_status status = LAT_STATUS_OK;
  const lat__pcd_header *header = &job->header;
  int64_t left = job->content->n_bytes - header->data_offset - 8, wanted, padded, measured, bad_at = 0;
  if (left < 0) return size_error(job, "truncated: bytes after the header", left + 8, "the two sizes,", 8);
  const uint8_t *at = job->content->bytes + header->data_offset;
  *sizes = (packed_sizes){(int64_t)lat__load_le(at, 4), (int64_t)lat__load_le(at + 4, 4), at + 8};
  if (sizes->packed > left) return size_error(job, "truncated: compressed size", sizes->packed, "at most", left);
  LAT_TRY(check_rest(context, job, header->data_offset + 8 + sizes->packed), done);
  LAT_TRY(check_claim(job, header->kept_bytes, LAT__PCD_LZF_RATIO * sizes->packed), done);
  wanted = header->points * header->kept_bytes;
  // Writers leave padding out of the stream; one that keeps it is understood too.
  if (!lat__mul_i64(header->points, header->record_bytes, &padded)) padded = wanted;
  if (sizes->unpacked != wanted && sizes->unpacked != padded) {
    return size_error(job, "uncompressed size", sizes->unpacked, "points x bytes of a point,", wanted);
  }
  if (!lat__lzf_measure(sizes->stream, sizes->packed, &measured, &bad_at)) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: byte %lld: damaged LZF stream: got a chunk that ends behind the stream or refers "
                    "to before its beginning, expected a whole one",
                    lat__io_path(job->content->path).text, (long long)(header->data_offset + 8 + bad_at));
  }
  if (measured != sizes->unpacked) {
    return size_error(job, "bytes in the LZF stream", measured, "the uncompressed size,", sizes->unpacked);
  }
done:
  return status;
}

/// Points the columns at a body of whole fields: all of the first field's points, then all of the second's.
static void place_columns(pcd_job *job, bool with_padding) {
  int64_t start = 0;
  int32_t column = 0;
  for (int32_t i = 0; i < job->header.n_fields; i++) {
    const lat__pcd_field *field = &job->header.fields[i];
    int64_t n_bytes = (int64_t)field->size * field->count;
    if (field->padding && !with_padding) continue;
    for (int32_t element = 0; element < field->count && !field->padding; element++, column++) {
      job->table.columns[column].offset = start + (int64_t)element * field->size;
      job->table.columns[column].step = n_bytes;
    }
    start += job->header.points * n_bytes;
  }
}

static lat_status read_compressed(lat_context *context, pcd_job *job, lat_dtype dtype) {
  lat_status status = LAT_STATUS_OK;
  packed_sizes sizes = {0};
  lat__bad_value bad;
  LAT_TRY(load(context, job), done);
  LAT_TRY(check_packed(context, job, &sizes), done);
  LAT_TRY(lat__io_bytes_new(context, sizes.unpacked, &job->unpacked), done);
  lat__lzf_decode(sizes.stream, sizes.packed, lat_array_data(job->unpacked), sizes.unpacked);
  lat_array_release(job->bytes); // the stream is not needed beside the cloud
  job->bytes = NULL;
  LAT_TRY(lat__table_allocate(context, &job->table, dtype), done);
  place_columns(job, sizes.unpacked != job->header.points * job->header.kept_bytes);
  lat__table_copy(&job->table, lat_array_data(job->unpacked), &bad);
  LAT_TRY(check_values(job, &bad), done);
done:
  return status;
}

lat_status lat__pcd_parse(lat_context *context, const lat__io_content *content, lat_cloud **out) {
  static const char *const sources[] = {"PCD (ascii)", "PCD (binary)", "PCD (binary compressed)"};
  lat_status status = LAT_STATUS_OK;
  lat_array *storage = NULL;
  pcd_job *job = NULL;
  lat_dtype dtype;
  LAT_TRY(lat__io_bytes_new(context, sizeof(pcd_job), &storage), done);
  job = lat_array_data(storage);
  job->content = content;
  LAT_TRY(lat__pcd_read_header(content, &job->header), done);
  LAT_TRY(add_columns(job), done);
  LAT_TRY(check_axes(job, &dtype), done);
  if (job->header.encoding == LAT__PCD_ASCII) {
    LAT_TRY(read_ascii(context, job, dtype), done);
  } else if (job->header.encoding == LAT__PCD_BINARY) {
    LAT_TRY(read_binary(context, job, dtype), done);
  } else {
    LAT_TRY(read_compressed(context, job, dtype), done);
  }
  LAT_TRY(lat__table_share(context, &job->table, sources[job->header.encoding], out), done);
done:
  if (job) {
    lat__table_release(&job->table);
    lat_array_release(job->unpacked);
    lat_array_release(job->bytes);
  }
  lat_array_release(storage);
  return status;
}
