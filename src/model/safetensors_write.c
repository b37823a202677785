// Writing safetensors: a JSON header whose order is the order of the data, then the bytes of every array.
#include <string.h>

#include <jansson.h>

#include <lattice/safetensors.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "model/model_arena.h"
#include "model/model_file.h"
#include "model/safetensors_internal.h"

enum { LENGTH_BYTES = 8, HEADER_ALIGN = 8, WIDEST_ELEMENT = 8 };

static const char op[] = "safetensors_write";

/// The header as text, in the making.
typedef struct header_text {
  char *bytes; ///< NULL: only counted
  size_t used;
} header_text;

static int append_text(const char *text, size_t n_bytes, void *user) {
  header_text *header = user;
  if (header->bytes) memcpy(header->bytes + header->used, text, n_bytes);
  header->used += n_bytes;
  return 0;
}

static const char *dtype_code(lat_dtype dtype) {
  switch (dtype) {
  case LAT_DTYPE_F32:
    return "F32";
  case LAT_DTYPE_F16:
    return "F16";
  case LAT_DTYPE_F64:
    return "F64";
  case LAT_DTYPE_I32:
    return "I32";
  case LAT_DTYPE_I64:
    return "I64";
  case LAT_DTYPE_U8:
    return "U8";
  case LAT_DTYPE_U32:
    return "U32";
  case LAT_DTYPE_I16:
    return "I16";
  case LAT_DTYPE_BF16:
    return "BF16";
  }
  return NULL;
}

static bool is_contiguous(const lat_array_view *view) {
  int64_t step = 1;
  for (int32_t axis = view->rank - 1; axis >= 0; axis--) {
    if (view->shape[axis] != 1 && view->stride[axis] != step) return false;
    step *= view->shape[axis];
  }
  return true;
}

/// One array of the file.
typedef struct entry {
  const lat_named_array *given;
  lat_array *copy; ///< of a strided view, or a check that the view is one
  const void *data;
  int64_t n_bytes;
} entry;

/// Checks an array and its name, and makes its elements contiguous.
static lat_status prepare(lat_context *context, const lat_named_array *given, entry *e) {
  lat_status status = LAT_STATUS_OK;
  const char *name = given->name;
  if (!name || !name[0] || strcmp(name, "__metadata__") == 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: name: got %s, expected the name of a tensor", op,
                    !name     ? "NULL"
                    : name[0] ? "the reserved '__metadata__'"
                              : "an empty one");
  }
  e->given = given;
  // A wrapped view is checked like any other argument; strided ones are copied.
  const lat_array_view *view = &given->array;
  if (view->rank >= 0 && view->rank <= LAT_MAX_RANK && is_contiguous(view)) {
    LAT_TRY(lat_array_wrap(context, view, NULL, NULL, &e->copy), done);
  } else {
    LAT_TRY(lat_array_create(context, view, &e->copy), done);
  }
  e->data = lat_array_data(e->copy);
  e->n_bytes = lat_array_count(e->copy) * (int64_t)lat_dtype_bytes(view->dtype);
done:
  return status;
}

static lat_status add_to_header(json_t *header, const entry *e, int64_t *offset) {
  int64_t begin = *offset;
  const lat_array_view *view = &e->given->array;
  json_t *shape = json_array();
  if (json_object_get(header, e->given->name)) {
    json_decref(shape);
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: name: got '%s' twice, expected distinct names", op,
                    lat__show_text(e->given->name, (int64_t)strlen(e->given->name)).text);
  }
  for (int32_t axis = 0; axis < view->rank; axis++) json_array_append_new(shape, json_integer(view->shape[axis]));
  if (!lat__add_i64(begin, e->n_bytes, offset)) {
    json_decref(shape);
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: the arrays have more bytes than a file", op);
  }
  json_t *json = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_code(view->dtype), "shape", shape, "data_offsets",
                           (json_int_t)begin, (json_int_t)*offset);
  if (!json) return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "%s: no memory for the header", op);
  if (json_object_set_new(header, e->given->name, json) == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: name: got '%s', expected UTF-8", op,
                  lat__show_text(e->given->name, (int64_t)strlen(e->given->name)).text);
}

static lat_status add_metadata(json_t *header, const char *key, const char *text) {
  json_t *json = json_pack("{s:s}", key, text);
  if (json && json_object_set_new(header, "__metadata__", json) == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "%s: no memory for the header", op);
}

/// `*out` = length, header and padding as they stand in the file.
static lat_status print_header(lat_context *context, const json_t *header, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  header_text text = {NULL, 0};
  if (json_dump_callback(header, append_text, &text, JSON_COMPACT) != 0) {
    return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "%s: no memory for the header", op);
  }
  uint64_t length = (text.used + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
  int64_t n_bytes = (int64_t)length + LENGTH_BYTES;
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, (double)' ', out), done);
  uint8_t *bytes = lat_array_data(*out);
  for (int i = 0; i < LENGTH_BYTES; i++) bytes[i] = (uint8_t)(length >> (8 * i));
  text = (header_text){(char *)bytes + LENGTH_BYTES, 0};
  if (json_dump_callback(header, append_text, &text, JSON_COMPACT) != 0) {
    status = lat_fail(LAT_STATUS_OUT_OF_MEMORY, "%s: no memory for the header", op);
  }
done:
  return status;
}

/// Fills header and pieces, wider elements first.
static lat_status lay_out(lat_context *context, const lat_named_array *arrays, int64_t n_arrays, entry *entries,
                          lat__piece *pieces, json_t *header) {
  lat_status status = LAT_STATUS_OK;
  int64_t offset = 0, n = 0;
  for (size_t width = WIDEST_ELEMENT; width >= 1; width /= 2) {
    for (int64_t i = 0; i < n_arrays; i++) {
      if (width == WIDEST_ELEMENT) LAT_TRY(prepare(context, &arrays[i], &entries[i]), done);
      if (lat_dtype_bytes(arrays[i].array.dtype) != width) continue;
      LAT_TRY(add_to_header(header, &entries[i], &offset), done);
      pieces[1 + n++] = (lat__piece){entries[i].data, (size_t)entries[i].n_bytes};
    }
  }
done:
  return status;
}

lat_status lat_safetensors_write(lat_context *context, const char *path, const lat_named_array *arrays,
                                 int64_t n_arrays) {
  return lat__safetensors_write(context, path, arrays, n_arrays, NULL, NULL);
}

lat_status lat__safetensors_write(lat_context *context, const char *path, const lat_named_array *arrays,
                                  int64_t n_arrays, const char *key, const char *metadata) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  void *memory = NULL;
  entry *entries = NULL;
  json_t *header = NULL;
  lat_array *text = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!path) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: path: got NULL, expected a path", op);
  if (n_arrays < 0 || (n_arrays && !arrays)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: arrays: got %s, expected n_arrays named arrays", op,
                    n_arrays < 0 ? "a negative number" : "NULL");
  }
  LAT_TRY(lat__arena_take(context, &arena, n_arrays, sizeof *entries, &memory), done);
  entries = memory;
  LAT_TRY(lat__arena_take(context, &arena, n_arrays + 1, sizeof(lat__piece), &memory), done);
  lat__piece *pieces = memory;
  header = json_object();
  if (metadata) LAT_TRY(add_metadata(header, key, metadata), done);
  LAT_TRY(lay_out(context, arrays, n_arrays, entries, pieces, header), done);
  LAT_TRY(print_header(context, header, &text), done);
  pieces[0] = (lat__piece){lat_array_data(text), (size_t)lat_array_count(text)};
  LAT_TRY(lat__file_write(context, op, path, pieces, n_arrays + 1), done);
done:
  for (int64_t i = 0; entries && i < n_arrays; i++) lat_array_release(entries[i].copy);
  lat_array_release(text);
  json_decref(header);
  lat__arena_end(&arena);
  return status;
}
