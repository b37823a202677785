// Reading safetensors. The header is untrusted: every number in it is checked against the file before it is used, and the
// tensors must cover the data exactly, so that no byte is read twice or hidden.
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "model/model_arena.h"
#include "model/model_file.h"
#include "model/safetensors_internal.h"

enum { LENGTH_BYTES = 8, MOST_HEADER_BYTES = 100 * 1000 * 1000 };

typedef struct tensor_entry {
  const char *name;
  lat_array *array;
} tensor_entry;

typedef struct text_entry {
  const char *key, *text;
} text_entry;

struct lat_safetensors {
  atomic_int refcount;
  lat__arena arena; ///< everything but the arrays; this struct included
  tensor_entry *tensors;
  text_entry *metadata;
  int64_t n_tensors, n_metadata;
  lat__names names;
};

/// A tensor's place, for the check that the places cover the data.
typedef struct place {
  int64_t begin, end, index;
} place;

/// What the steps of a parse share.
typedef struct parse {
  lat_context *context;
  const char *label;
  const lat_array *content;
  const uint8_t *data; ///< behind the header
  int64_t data_bytes;
  lat_safetensors *file;
  place *places;
} parse;

static const char op[] = "safetensors_open";

static lat_status bad(const parse *p, const char *what) {
  return lat_fail(LAT_STATUS_BAD_DATA, "%s: %s: %s", op, lat__show_path(p->label).text, what);
}

/// Fails with a sentence about one tensor.
static lat_status bad_tensor(const parse *p, const char *name, const char *what) {
  return lat_fail(LAT_STATUS_BAD_DATA, "%s: %s: tensor '%s': %s", op, lat__show_path(p->label).text,
                  lat__show_text(name, (int64_t)strlen(name)).text, what);
}

// --- one tensor -----------------------------------------------------------------------------------------------------

static lat_status read_dtype(const parse *p, const char *name, const json_t *entry, lat_dtype *dtype) {
  static const struct {
    const char *name;
    lat_dtype dtype;
  } known[] = {{"F32", LAT_DTYPE_F32}, {"F16", LAT_DTYPE_F16}, {"BF16", LAT_DTYPE_BF16}, {"F64", LAT_DTYPE_F64},
               {"I32", LAT_DTYPE_I32}, {"I64", LAT_DTYPE_I64}, {"I16", LAT_DTYPE_I16},   {"U8", LAT_DTYPE_U8},
               {"U32", LAT_DTYPE_U32}, {"BOOL", LAT_DTYPE_U8}};
  const char *text = json_string_value(json_object_get(entry, "dtype"));
  if (!text) return bad_tensor(p, name, "dtype is missing or no text");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i].name, text) == 0) {
      *dtype = known[i].dtype;
      return LAT_STATUS_OK;
    }
  }
  return lat_fail(LAT_STATUS_UNSUPPORTED,
                  "%s: %s: tensor '%s': dtype: got %s, expected F32, F16, BF16, F64, I64, I32, I16, U32, U8 or BOOL",
                  op, lat__show_path(p->label).text, lat__show_text(name, (int64_t)strlen(name)).text,
                  lat__show_text(text, (int64_t)strlen(text)).text);
}

/// Reads `json` as `n` non-negative whole numbers.
static bool read_counts(const json_t *json, size_t n, int64_t *counts) {
  for (size_t i = 0; i < n; i++) {
    const json_t *item = json_array_get(json, i);
    if (!json_is_integer(item) || json_integer_value(item) < 0) return false;
    counts[i] = (int64_t)json_integer_value(item);
  }
  return true;
}

static lat_status read_shape(const parse *p, const char *name, const json_t *entry, int32_t *rank, int64_t *shape) {
  const json_t *json = json_object_get(entry, "shape");
  size_t n = json_array_size(json);
  if (!json_is_array(json)) return bad_tensor(p, name, "shape is missing or no list");
  if (n > LAT_MAX_RANK) {
    return lat_fail(LAT_STATUS_UNSUPPORTED, "%s: %s: tensor '%s': shape: got %zu axes, expected at most %d", op,
                    lat__show_path(p->label).text, lat__show_text(name, (int64_t)strlen(name)).text, n, LAT_MAX_RANK);
  }
  if (!read_counts(json, n, shape)) return bad_tensor(p, name, "shape has something else than axis lengths");
  *rank = (int32_t)n;
  return LAT_STATUS_OK;
}

/// Bytes that dtype and shape need; false when they leave int64.
static bool bytes_needed(lat_dtype dtype, int32_t rank, const int64_t *shape, int64_t *bytes) {
  *bytes = (int64_t)lat_dtype_bytes(dtype);
  bool empty = false, fits = true;
  for (int32_t axis = 0; axis < rank; axis++) {
    empty = empty || shape[axis] == 0;
    fits = fits && lat__mul_i64(*bytes, shape[axis], bytes);
  }
  if (empty) *bytes = 0;
  return fits || empty;
}

static void release_content(void *user) {
  lat_array_release(user);
}

/// A view of the content where the elements are aligned, else a copy.
static lat_status make_array(const parse *p, const place *at, const lat_array_view *shape, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  const uint8_t *data = p->data + at->begin;
  lat_array *array = NULL;
  lat_array_view view = *shape;
  view.data = data;
  if ((uintptr_t)data % lat_dtype_bytes(view.dtype) == 0 && at->end > at->begin) {
    lat_array *content = lat_array_retain(p->content);
    status = lat_array_wrap(p->context, &view, release_content, content, &array);
    if (status) lat_array_release(content);
    if (status) goto done;
  } else {
    LAT_TRY(lat_array_full(p->context, view.dtype, view.rank, view.shape, 0.0, &array), done);
    if (at->end > at->begin) memcpy(lat_array_data(array), data, (size_t)(at->end - at->begin));
  }
  *out = array;
done:
  return status;
}

static lat_status read_tensor(parse *p, const char *name, const json_t *entry) {
  lat_status status = LAT_STATUS_OK;
  lat_safetensors *file = p->file;
  tensor_entry *tensor = &file->tensors[file->n_tensors];
  place *at = &p->places[file->n_tensors];
  lat_array_view view = {NULL, LAT_DTYPE_F32, LAT_DEVICE_CPU, 0, {0}, {0}};
  int64_t bytes = 0, offsets[2] = {0, 0};
  const json_t *json = json_object_get(entry, "data_offsets");
  if (!json_is_object(entry)) return bad_tensor(p, name, "got no object, expected dtype, shape and data_offsets");
  LAT_TRY(read_dtype(p, name, entry, &view.dtype), done);
  LAT_TRY(read_shape(p, name, entry, &view.rank, view.shape), done);
  if (!json_is_array(json) || json_array_size(json) != 2 || !read_counts(json, 2, offsets)) {
    return bad_tensor(p, name, "data_offsets are missing or not two places");
  }
  if (offsets[1] < offsets[0] || offsets[1] > p->data_bytes) {
    return bad_tensor(p, name, "data_offsets are outside the data");
  }
  if (!bytes_needed(view.dtype, view.rank, view.shape, &bytes) || bytes != offsets[1] - offsets[0]) {
    return bad_tensor(p, name, "data_offsets do not match dtype and shape");
  }
  *at = (place){offsets[0], offsets[1], file->n_tensors};
  view = lat_view(NULL, view.dtype, view.rank, view.shape);
  LAT_TRY(lat__arena_text(p->context, &file->arena, name, (int64_t)strlen(name), &tensor->name), done);
  LAT_TRY(lat__names_add(p->context, &file->arena, &file->names, tensor->name, file->n_tensors), done);
  LAT_TRY(make_array(p, at, &view, &tensor->array), done);
  file->n_tensors++;
done:
  return status;
}

// --- the header -----------------------------------------------------------------------------------------------------

static lat_status read_metadata(parse *p, json_t *metadata) {
  lat_status status = LAT_STATUS_OK;
  lat_safetensors *file = p->file;
  void *memory = NULL;
  const char *key;
  json_t *value;
  if (!json_is_object(metadata)) return bad(p, "__metadata__: got no object, expected texts by key");
  LAT_TRY(
      lat__arena_take(p->context, &file->arena, (int64_t)json_object_size(metadata), sizeof *file->metadata, &memory),
      done);
  file->metadata = memory;
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value)) return bad(p, "__metadata__: got something else than texts");
    text_entry *entry = &file->metadata[file->n_metadata];
    LAT_TRY(lat__arena_text(p->context, &file->arena, key, (int64_t)strlen(key), &entry->key), done);
    LAT_TRY(lat__arena_text(p->context, &file->arena, json_string_value(value), (int64_t)json_string_length(value),
                            &entry->text),
            done);
    file->n_metadata++;
  }
done:
  return status;
}

static int compare_places(const void *a, const void *b) {
  const place *one = a, *other = b;
  if (one->begin != other->begin) return one->begin < other->begin ? -1 : 1;
  if (one->end != other->end) return one->end < other->end ? -1 : 1;
  return one->index < other->index ? -1 : 1;
}

/// The tensors' places must follow each other from the first byte of the data to the last.
static lat_status check_cover(const parse *p) {
  int64_t reached = 0, n = p->file->n_tensors;
  qsort(p->places, (size_t)n, sizeof *p->places, compare_places);
  for (int64_t i = 0; i < n; i++) {
    const place *at = &p->places[i];
    const char *name = p->file->tensors[at->index].name;
    if (at->begin < reached) return bad_tensor(p, name, "tensors overlap");
    if (at->begin > reached) return bad_tensor(p, name, "before it are bytes that belong to no tensor");
    reached = at->end;
  }
  if (reached == p->data_bytes) return LAT_STATUS_OK;
  return bad(p, "at the end are bytes that belong to no tensor");
}

static lat_status read_header(parse *p, json_t *header) {
  lat_status status = LAT_STATUS_OK;
  const char *name;
  json_t *entry;
  void *memory = NULL;
  int64_t room = (int64_t)json_object_size(header);
  if (!json_is_object(header)) return bad(p, "header: got no object, expected tensors by name");
  LAT_TRY(lat__arena_take(p->context, &p->file->arena, room, sizeof *p->places, &memory), done);
  p->places = memory;
  LAT_TRY(lat__arena_take(p->context, &p->file->arena, room, sizeof *p->file->tensors, &memory), done);
  p->file->tensors = memory;
  json_object_foreach(header, name, entry) {
    if (strcmp(name, "__metadata__") == 0) {
      LAT_TRY(read_metadata(p, entry), done);
    } else {
      LAT_TRY(read_tensor(p, name, entry), done);
    }
  }
  LAT_TRY(check_cover(p), done);
done:
  return status;
}

/// Finds the header. jansson checks that it is UTF-8 and that no name comes twice.
static lat_status load_header(parse *p, json_t **header) {
  lat_array_view view = lat_array_as_view(p->content);
  const uint8_t *bytes = view.data;
  uint64_t length = 0;
  json_error_t error;
  if (view.shape[0] < LENGTH_BYTES) return bad(p, "file is too short: expected a header length of 8 bytes");
  for (int i = 0; i < LENGTH_BYTES; i++) length |= (uint64_t)bytes[i] << (8 * i);
  if (length > MOST_HEADER_BYTES) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: %s: header is too long: got %" PRIu64 " bytes, expected at most %d", op,
                    lat__show_path(p->label).text, length, MOST_HEADER_BYTES);
  }
  if (length > (uint64_t)(view.shape[0] - LENGTH_BYTES)) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: %s: file is too short: got %lld bytes, expected a header of %" PRIu64, op,
                    lat__show_path(p->label).text, (long long)view.shape[0], length);
  }
  *header = json_loadb((const char *)bytes + LENGTH_BYTES, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  if (!*header) {
    bool memory = json_error_code(&error) == json_error_out_of_memory;
    return lat_fail(memory ? LAT_STATUS_OUT_OF_MEMORY : LAT_STATUS_BAD_DATA, "%s: %s: header, byte %d: %s", op,
                    lat__show_path(p->label).text, error.position,
                    lat__show_text(error.text, (int64_t)strlen(error.text)).text);
  }
  p->data = bytes + LENGTH_BYTES + length;
  p->data_bytes = view.shape[0] - LENGTH_BYTES - (int64_t)length;
  return LAT_STATUS_OK;
}

lat_status lat__safetensors_parse(lat_context *context, const char *label, const lat_array *content,
                                  lat_safetensors **out) {
  lat_status status = LAT_STATUS_OK;
  parse p = {.context = context, .label = label, .content = content};
  lat__arena arena = {NULL, 0, 0};
  json_t *header = NULL;
  void *memory = NULL;
  LAT_TRY(load_header(&p, &header), done);
  LAT_TRY(lat__arena_take(context, &arena, 1, sizeof *p.file, &memory), done);
  p.file = memory;
  atomic_init(&p.file->refcount, 1);
  p.file->arena = arena;
  LAT_TRY(read_header(&p, header), done);
  *out = p.file;
  p.file = NULL;
done:
  lat_safetensors_release(p.file);
  json_decref(header);
  return status;
}

// --- public ---------------------------------------------------------------------------------------------------------

lat_status lat_safetensors_open(lat_context *context, const char *path, lat_safetensors **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *content = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the file", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!path) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: path: got NULL, expected a path", op);
  LAT_TRY(lat__file_map(context, op, path, &content), done);
  LAT_TRY(lat__safetensors_parse(context, path, content, out), done);
done:
  lat_array_release(content);
  return status;
}

int64_t lat_safetensors_count(const lat_safetensors *file) {
  return file->n_tensors;
}

const char *lat_safetensors_name(const lat_safetensors *file, int64_t index) {
  return file->tensors[index].name;
}

int64_t lat_safetensors_find(const lat_safetensors *file, const char *name) {
  return lat__names_find(&file->names, name, (int64_t)strlen(name));
}

const lat_array *lat_safetensors_array(const lat_safetensors *file, int64_t index) {
  return file->tensors[index].array;
}

const char *lat_safetensors_metadata(const lat_safetensors *file, const char *key) {
  for (int64_t i = 0; i < file->n_metadata; i++) {
    if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].text;
  }
  return NULL;
}

lat_safetensors *lat_safetensors_retain(const lat_safetensors *file) {
  lat_safetensors *shared = (lat_safetensors *)file;
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_safetensors_release(lat_safetensors *file) {
  if (!file || atomic_fetch_sub_explicit(&file->refcount, 1, memory_order_acq_rel) != 1) return;
  for (int64_t i = 0; i < file->n_tensors; i++) lat_array_release(file->tensors[i].array);
  lat__arena arena = file->arena; // holds the struct itself
  lat__arena_end(&arena);
}
