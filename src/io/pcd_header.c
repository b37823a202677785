/// The header of a PCD file: one key a line, up to the DATA line. Nothing here believes a number yet; the counts are
/// checked against the file's size afterwards.
#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "io/pcd.h"

typedef struct word {
  const char *at;
  int32_t n_bytes;
} word;

/// The line being read.
typedef struct line_reader {
  const lat__io_content *content;
  int64_t next;   ///< offset of the next line
  int64_t number; ///< of the current line, from 1
  const char *at; ///< behind the last word taken
  const char *end;
  unsigned seen; ///< a bit for each key that there was
} line_reader;

typedef enum header_key {
  KEY_VERSION,
  KEY_FIELDS,
  KEY_SIZE,
  KEY_TYPE,
  KEY_COUNT,
  KEY_WIDTH,
  KEY_HEIGHT,
  KEY_VIEWPOINT,
  KEY_POINTS,
  KEY_DATA,
  N_KEYS
} header_key;

static const char *const key_names[N_KEYS] = {"VERSION", "FIELDS", "SIZE",      "TYPE",   "COUNT",
                                              "WIDTH",   "HEIGHT", "VIEWPOINT", "POINTS", "DATA"};

static bool word_is(word w, const char *text) {
  return (size_t)w.n_bytes == strlen(text) && memcmp(w.at, text, (size_t)w.n_bytes) == 0;
}

static bool has_key(const line_reader *reader, header_key key) {
  return (reader->seen >> key & 1u) != 0;
}

static lat_status line_error(const line_reader *reader, lat_status status, const char *what, word got,
                             const char *expected) {
  return lat_fail(status, "cloud_read: %s: line %lld: %s: got '%s', expected %s",
                  lat__io_path(reader->content->path).text, (long long)reader->number, what,
                  lat__io_excerpt(got.at, got.n_bytes).text, expected);
}

/// Takes the next word of the line; an empty one at its end.
static word take_word(line_reader *reader) {
  while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r')) reader->at++;
  const char *start = reader->at;
  while (reader->at < reader->end && *reader->at != ' ' && *reader->at != '\t' && *reader->at != '\r') reader->at++;
  return (word){start, (int32_t)(reader->at - start)};
}

/// Steps to the next line. Errors: BAD_DATA when the header does not end.
static lat_status next_line(line_reader *reader) {
  const lat__io_content *content = reader->content;
  int64_t limit = lat__min_i64(content->n_bytes, LAT__PCD_HEADER_BYTES);
  reader->at = (const char *)content->bytes + reader->next;
  reader->end = memchr(reader->at, '\n', (size_t)(limit - reader->next));
  if (!reader->end) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: no DATA line: got %lld bytes and %lld lines without it, expected it within the "
                    "file and within %d bytes",
                    lat__io_path(content->path).text, (long long)limit, (long long)reader->number,
                    (int)LAT__PCD_HEADER_BYTES);
  }
  reader->number++;
  reader->next = reader->end + 1 - (const char *)content->bytes;
  return LAT_STATUS_OK;
}

static lat_status expect_end(line_reader *reader) {
  word more = take_word(reader);
  if (more.n_bytes == 0) return LAT_STATUS_OK;
  return line_error(reader, LAT_STATUS_BAD_DATA, "too many words", more, "the end of the line");
}

static lat_status parse_version(line_reader *reader) {
  static const char *const known[] = {"0.7", ".7", "0.6", ".6", "0.5", ".5"};
  word version = take_word(reader);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (word_is(version, known[i])) return expect_end(reader);
  }
  return line_error(reader, LAT_STATUS_UNSUPPORTED, "VERSION", version, "0.5, 0.6 or 0.7");
}

/// A name that a cloud can have: no control characters, not too long.
static bool good_name(word name) {
  for (int32_t i = 0; i < name.n_bytes; i++) {
    unsigned char c = (unsigned char)name.at[i];
    if (c <= 0x20 || c == 0x7f) return false;
  }
  return name.n_bytes <= LAT__TABLE_NAME_BYTES;
}

static lat_status parse_fields(line_reader *reader, lat__pcd_header *header) {
  word name = take_word(reader);
  if (name.n_bytes == 0) return line_error(reader, LAT_STATUS_BAD_DATA, "FIELDS", name, "names");
  for (; name.n_bytes; name = take_word(reader)) {
    if (header->n_fields == LAT__PCD_FIELDS) {
      return line_error(reader, LAT_STATUS_BAD_DATA, "too many fields", name, "512 at most");
    }
    if (!good_name(name)) {
      return line_error(reader, LAT_STATUS_BAD_DATA, "field name", name,
                        "at most 255 bytes without control characters");
    }
    header->fields[header->n_fields++] =
        (lat__pcd_field){.name = name.at, .name_bytes = name.n_bytes, .padding = word_is(name, "_"), .count = 1};
  }
  return LAT_STATUS_OK;
}

/// Reads one word of a SIZE, TYPE or COUNT line into a field.
static lat_status parse_property(const line_reader *reader, header_key key, word w, lat__pcd_field *field) {
  int64_t value = 0;
  if (key == KEY_TYPE) {
    if (w.n_bytes != 1 || !memchr("IUF", w.at[0], 3)) {
      return line_error(reader, LAT_STATUS_BAD_DATA, "TYPE", w, "I, U or F");
    }
    field->kind = w.at[0];
    return LAT_STATUS_OK;
  }
  bool whole = lat__io_parse_count(w.at, w.n_bytes, &value);
  if (key == KEY_SIZE) {
    if (!whole || (value != 1 && value != 2 && value != 4 && value != 8)) {
      return line_error(reader, LAT_STATUS_BAD_DATA, "SIZE", w, "1, 2, 4 or 8");
    }
    field->size = (int32_t)value;
    return LAT_STATUS_OK;
  }
  if (!whole || value < 1 || value > LAT__PCD_MOST_COUNT) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "COUNT", w, "a whole number from 1 to 1048576");
  }
  field->count = (int32_t)value;
  return LAT_STATUS_OK;
}

/// A SIZE, TYPE or COUNT line: one word for each field.
static lat_status parse_properties(line_reader *reader, header_key key, lat__pcd_header *header) {
  lat_status status = LAT_STATUS_OK;
  if (!has_key(reader, KEY_FIELDS)) {
    word none = {key_names[key], (int32_t)strlen(key_names[key])};
    return line_error(reader, LAT_STATUS_BAD_DATA, "line before FIELDS", none, "the FIELDS line first");
  }
  for (int32_t i = 0; i < header->n_fields; i++) {
    word w = take_word(reader);
    if (w.n_bytes == 0) {
      return lat_fail(LAT_STATUS_BAD_DATA,
                      "cloud_read: %s: line %lld: %s: got %d words, expected %d (one for each field)",
                      lat__io_path(reader->content->path).text, (long long)reader->number, key_names[key], (int)i,
                      (int)header->n_fields);
    }
    LAT_TRY(parse_property(reader, key, w, &header->fields[i]), done);
  }
  LAT_TRY(expect_end(reader), done);
done:
  return status;
}

static lat_status parse_number(line_reader *reader, header_key key, int64_t *value) {
  word w = take_word(reader);
  if (!lat__io_parse_count(w.at, w.n_bytes, value)) {
    return line_error(reader, LAT_STATUS_BAD_DATA, key_names[key], w, "a whole number from 0 to 9223372036854775807");
  }
  return expect_end(reader);
}

/// The pose of the scanner is not applied, as other readers do not either; that it has seven words is checked.
static lat_status parse_viewpoint(line_reader *reader) {
  for (int32_t i = 0; i < 7; i++) {
    word w = take_word(reader);
    if (w.n_bytes == 0) return line_error(reader, LAT_STATUS_BAD_DATA, "VIEWPOINT", w, "seven numbers");
  }
  return expect_end(reader);
}

static lat_status parse_data(line_reader *reader, lat__pcd_header *header) {
  static const char *const names[] = {"ascii", "binary", "binary_compressed"};
  word encoding = take_word(reader);
  for (int i = 0; i < 3; i++) {
    if (!word_is(encoding, names[i])) continue;
    header->encoding = (lat__pcd_encoding)i;
    return expect_end(reader);
  }
  return line_error(reader, LAT_STATUS_UNSUPPORTED, "DATA", encoding, "ascii, binary or binary_compressed");
}

/// Reads the line behind its key.
static lat_status parse_line(line_reader *reader, header_key key, lat__pcd_header *header) {
  switch (key) {
  case KEY_VERSION:
    return parse_version(reader);
  case KEY_FIELDS:
    return parse_fields(reader, header);
  case KEY_WIDTH:
    return parse_number(reader, key, &header->width);
  case KEY_HEIGHT:
    return parse_number(reader, key, &header->height);
  case KEY_POINTS:
    return parse_number(reader, key, &header->points);
  case KEY_VIEWPOINT:
    return parse_viewpoint(reader);
  case KEY_DATA:
    return parse_data(reader, header);
  default:
    return parse_properties(reader, key, header);
  }
}

static lat_status find_key(const line_reader *reader, word name, header_key *key) {
  int index = 0;
  if (word_is(name, "COLUMNS")) name = (word){"FIELDS", 6}; // its name before version 0.6
  while (index < N_KEYS && !word_is(name, key_names[index])) index++;
  if (index == N_KEYS) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "unknown header line", name,
                      "VERSION, FIELDS, SIZE, TYPE, COUNT, WIDTH, HEIGHT, VIEWPOINT, POINTS or DATA");
  }
  *key = (header_key)index;
  if (has_key(reader, *key)) return line_error(reader, LAT_STATUS_BAD_DATA, "line twice", name, "each line once");
  return LAT_STATUS_OK;
}

/// Decides the number of points. POINTS repeats WIDTH x HEIGHT, and either may be missing.
static lat_status finish_points(const line_reader *reader, lat__pcd_header *header) {
  int64_t area = -1;
  if (header->width < 0 && header->points < 0) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "incomplete header", (word){"DATA", 4}, "WIDTH or POINTS before");
  }
  if (header->width >= 0 && !lat__mul_i64(header->width, header->height < 0 ? 1 : header->height, &area)) area = -1;
  if (header->width >= 0 && (area < 0 || (header->points >= 0 && header->points != area))) {
    return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: header: POINTS must be WIDTH x HEIGHT: got %lld, %lld x %lld",
                    lat__io_path(reader->content->path).text, (long long)header->points, (long long)header->width,
                    (long long)(header->height < 0 ? 1 : header->height));
  }
  if (header->points < 0) header->points = area;
  return LAT_STATUS_OK;
}

static lat_status finish_field(const line_reader *reader, lat__pcd_field *field) {
  static const char kinds[] = "IUF";
  static const int8_t types[3][9] = {
      {-1, LAT__SCALAR_I8, LAT__SCALAR_I16, -1, LAT__SCALAR_I32, -1, -1, -1, LAT__SCALAR_I64},
      {-1, LAT__SCALAR_U8, LAT__SCALAR_U16, -1, LAT__SCALAR_U32, -1, -1, -1, LAT__SCALAR_U64},
      {-1, -1, -1, -1, LAT__SCALAR_F32, -1, -1, -1, LAT__SCALAR_F64}};
  int type = types[strchr(kinds, field->kind) - kinds][field->size];
  if (type < 0) {
    return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: header: field '%s': got TYPE F of SIZE %d, expected 4 or 8",
                    lat__io_path(reader->content->path).text, lat__io_excerpt(field->name, field->name_bytes).text,
                    (int)field->size);
  }
  field->type = (lat__scalar)type;
  return LAT_STATUS_OK;
}

/// Checks what only the whole header shows.
static lat_status finish(const line_reader *reader, lat__pcd_header *header) {
  lat_status status = LAT_STATUS_OK;
  for (header_key key = KEY_FIELDS; key <= KEY_TYPE; key++) {
    if (has_key(reader, key)) continue;
    return line_error(reader, LAT_STATUS_BAD_DATA, "incomplete header", (word){"DATA", 4},
                      key == KEY_FIELDS ? "a FIELDS line before"
                      : key == KEY_SIZE ? "a SIZE line before"
                                        : "a TYPE line before");
  }
  for (int32_t i = 0; i < header->n_fields; i++) {
    lat__pcd_field *field = &header->fields[i];
    LAT_TRY(finish_field(reader, field), done);
    int64_t n_bytes = (int64_t)field->size * field->count; // at most 2^23, of 512 fields
    header->record_bytes += n_bytes;
    header->kept_bytes += field->padding ? 0 : n_bytes;
    header->n_words += field->count;
  }
  LAT_TRY(finish_points(reader, header), done);
  header->data_offset = reader->next;
  header->data_line = reader->number + 1;
done:
  return status;
}

lat_status lat__pcd_read_header(const lat__io_content *content, lat__pcd_header *header) {
  lat_status status = LAT_STATUS_OK;
  line_reader reader = {.content = content};
  header_key key = KEY_VERSION;
  header->width = header->height = header->points = -1;
  while (!has_key(&reader, KEY_DATA)) {
    LAT_TRY(next_line(&reader), done);
    word name = take_word(&reader);
    if (name.n_bytes == 0 || name.at[0] == '#') continue;
    LAT_TRY(find_key(&reader, name, &key), done);
    LAT_TRY(parse_line(&reader, key, header), done);
    reader.seen |= 1u << key;
  }
  LAT_TRY(finish(&reader, header), done);
done:
  return status;
}
