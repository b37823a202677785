/// Binary PLY bodies, both byte orders. Elements without lists have a fixed size and are checked and stepped over as a
/// block; elements with lists are walked one by one, which ends with the file because each takes at least one byte.
#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "io/ply.h"

/// The place in the file.
typedef struct byte_reader {
  const lat__io_content *content;
  const lat__ply_header *header;
  int64_t at;
} byte_reader;

static lat_status truncated(const byte_reader *reader, const lat__ply_element *element, int64_t row) {
  return lat_fail(LAT_STATUS_BAD_DATA,
                  "cloud_read: %s: byte %lld: truncated: got the end of the file in %s %lld, expected %lld of them",
                  lat__io_path(reader->content->path).text, (long long)reader->content->n_bytes,
                  lat__io_excerpt(element->name, element->name_bytes).text, (long long)row, (long long)element->count);
}

static uint64_t load_bits(const uint8_t *at, int32_t n_bytes, bool big) {
  uint64_t bits = 0;
  for (int32_t i = 0; i < n_bytes; i++) bits |= (uint64_t)at[big ? n_bytes - 1 - i : i] << (8 * i);
  return bits;
}

static double load_value(const uint8_t *at, lat__ply_type type, bool big) {
  uint64_t bits = load_bits(at, lat__ply_type_bytes(type), big);
  uint32_t low = (uint32_t)bits;
  float single;
  double wide;
  switch (type) {
  case LAT__PLY_I8:
    return (double)(int8_t)(uint8_t)bits;
  case LAT__PLY_I16:
    return (double)(int16_t)(uint16_t)bits;
  case LAT__PLY_I32:
    return (double)(int32_t)low;
  case LAT__PLY_F32:
    memcpy(&single, &low, sizeof single);
    return (double)single;
  case LAT__PLY_F64:
    memcpy(&wide, &bits, sizeof wide);
    return wide;
  default:
    return (double)bits; // unsigned
  }
}

/// Steps over a list: its count and the items. `row` is for messages.
static lat_status skip_list(byte_reader *reader, const lat__ply_element *element, const lat__ply_property *property,
                            int64_t row) {
  int64_t left = reader->content->n_bytes - reader->at, item_bytes = lat__ply_type_bytes(property->type);
  int32_t count_bytes = lat__ply_type_bytes(property->count_type);
  if (left < count_bytes) return truncated(reader, element, row);
  double claimed =
      load_value(reader->content->bytes + reader->at, property->count_type, reader->header->encoding == LAT__PLY_BIG);
  int64_t count = (int64_t)claimed; // at most 32 bits: exact
  if (count < 0 || count > (left - count_bytes) / item_bytes) {
    return lat_fail(
        LAT_STATUS_BAD_DATA,
        "cloud_read: %s: byte %lld: list '%s' of %s %lld: got %lld items, expected 0 to %lld (what the file "
        "has left)",
        lat__io_path(reader->content->path).text, (long long)reader->at,
        lat__io_excerpt(property->name, property->name_bytes).text,
        lat__io_excerpt(element->name, element->name_bytes).text, (long long)row, (long long)count,
        (long long)((left - count_bytes) / item_bytes));
  }
  reader->at += count_bytes + count * item_bytes;
  return LAT_STATUS_OK;
}

/// Walks one element that has lists. `columns` NULL: nothing is stored.
static lat_status walk_element(byte_reader *reader, const lat__ply_element *element, int64_t row,
                               const lat__ply_columns *columns) {
  lat_status status = LAT_STATUS_OK;
  bool big = reader->header->encoding == LAT__PLY_BIG;
  for (int32_t i = 0; i < element->n_properties; i++) {
    const lat__ply_property *property = &reader->header->properties[element->first_property + i];
    if (property->is_list) {
      LAT_TRY(skip_list(reader, element, property, row), done);
      continue;
    }
    int32_t n_bytes = lat__ply_type_bytes(property->type);
    if (reader->content->n_bytes - reader->at < n_bytes) return truncated(reader, element, row);
    if (columns) {
      lat__ply_store(&columns->column[i], row, load_value(reader->content->bytes + reader->at, property->type, big));
    }
    reader->at += n_bytes;
  }
done:
  return status;
}

/// Reads elements of fixed size, column by column.
static void read_fixed(const byte_reader *reader, const lat__ply_element *element, const lat__ply_columns *columns) {
  bool big = reader->header->encoding == LAT__PLY_BIG;
  const uint8_t *start = reader->content->bytes + reader->at;
  for (int32_t i = 0; i < element->n_properties; i++) {
    lat__ply_type type = reader->header->properties[element->first_property + i].type;
    for (int64_t row = 0; row < element->count; row++) {
      lat__ply_store(&columns->column[i], row, load_value(start + row * element->min_bytes, type, big));
    }
    start += lat__ply_type_bytes(type);
  }
}

static lat_status read_element(byte_reader *reader, const lat__ply_element *element, const lat__ply_columns *columns) {
  lat_status status = LAT_STATUS_OK;
  int64_t left = reader->content->n_bytes - reader->at;
  if (element->min_bytes == 0) return LAT_STATUS_OK; // no properties: nothing in the file
  if (element->count > left / element->min_bytes) return truncated(reader, element, left / element->min_bytes);
  if (element->has_list) {
    for (int64_t row = 0; row < element->count; row++) LAT_TRY(walk_element(reader, element, row, columns), done);
  } else {
    if (columns) read_fixed(reader, element, columns);
    reader->at += element->count * element->min_bytes;
  }
done:
  return status;
}

/// White space may follow the last element (editors and pipes add it); anything else means that the header lies.
static lat_status check_rest(const byte_reader *reader) {
  for (int64_t at = reader->at; at < reader->content->n_bytes; at++) {
    if (memchr(" \t\r\n", reader->content->bytes[at], 4)) continue;
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: byte %lld: data after the last element: got %lld bytes more, expected the end of "
                    "the file",
                    lat__io_path(reader->content->path).text, (long long)reader->at,
                    (long long)(reader->content->n_bytes - reader->at));
  }
  return LAT_STATUS_OK;
}

lat_status lat__ply_read_binary(const lat__io_content *content, const lat__ply_header *header,
                                const lat__ply_columns *columns) {
  lat_status status = LAT_STATUS_OK;
  byte_reader reader = {content, header, header->data_offset};
  for (int32_t i = 0; i < header->n_elements; i++) {
    LAT_TRY(read_element(&reader, &header->elements[i], i == header->vertex ? columns : NULL), done);
  }
  LAT_TRY(check_rest(&reader), done);
done:
  return status;
}
