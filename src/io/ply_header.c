/// The header of a PLY file: lines of words up to end_header. Nothing here believes a number yet; the counts are checked
/// against the file's size afterwards.
#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "io/ply.h"

enum { MOST_WORDS = 6 };

typedef struct word {
  const char *at;
  int32_t n_bytes;
} word;

/// The line being read.
typedef struct line_reader {
  const lat__io_content *content;
  bool cr_only;
  int64_t next;    ///< offset of the next line
  int64_t number;  ///< of the current line, from 1
  int32_t n_words; ///< may exceed MOST_WORDS: then only the first are kept
  word words[MOST_WORDS];
} line_reader;

static bool word_is(word w, const char *text) {
  return (size_t)w.n_bytes == strlen(text) && memcmp(w.at, text, (size_t)w.n_bytes) == 0;
}

static lat_status line_error(const line_reader *reader, lat_status status, const char *what, word got,
                             const char *expected) {
  return lat_fail(status, "cloud_read: %s: line %lld: %s: got '%s', expected %s",
                  lat__io_path(reader->content->path).text, (long long)reader->number, what,
                  lat__io_excerpt(got.at, got.n_bytes).text, expected);
}

/// The n-th word, or an empty one.
static word word_at(const line_reader *reader, int32_t index) {
  word none = {"", 0};
  return index < reader->n_words && index < MOST_WORDS ? reader->words[index] : none;
}

static void split_words(line_reader *reader, const char *at, const char *end) {
  reader->n_words = 0;
  while (at < end) {
    if (*at == ' ' || *at == '\t' || *at == '\r') {
      at++;
      continue;
    }
    const char *start = at;
    while (at < end && *at != ' ' && *at != '\t' && *at != '\r') at++;
    if (reader->n_words < MOST_WORDS) reader->words[reader->n_words] = (word){start, (int32_t)(at - start)};
    reader->n_words++;
  }
}

/// Steps to the next line. Errors: BAD_DATA when the header does not end.
static lat_status next_line(line_reader *reader) {
  const lat__io_content *content = reader->content;
  int64_t limit = lat__min_i64(content->n_bytes, LAT__PLY_HEADER_BYTES);
  const char *at = (const char *)content->bytes + reader->next;
  const char *end = memchr(at, reader->cr_only ? '\r' : '\n', (size_t)(limit - reader->next));
  if (!end) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: no end_header: got %lld bytes and %lld lines without it, "
                    "expected it within the file and within %d bytes",
                    lat__io_path(content->path).text, (long long)limit, (long long)reader->number,
                    (int)LAT__PLY_HEADER_BYTES);
  }
  reader->number++;
  reader->next = end + 1 - (const char *)content->bytes;
  split_words(reader, at, end);
  return LAT_STATUS_OK;
}

static bool parse_type(word w, lat__ply_type *type) {
  static const struct {
    const char *name;
    lat__ply_type type;
  } names[] = {
      {"char", LAT__PLY_I8},   {"int8", LAT__PLY_I8},     {"uchar", LAT__PLY_U8},   {"uint8", LAT__PLY_U8},
      {"short", LAT__PLY_I16}, {"int16", LAT__PLY_I16},   {"ushort", LAT__PLY_U16}, {"uint16", LAT__PLY_U16},
      {"int", LAT__PLY_I32},   {"int32", LAT__PLY_I32},   {"uint", LAT__PLY_U32},   {"uint32", LAT__PLY_U32},
      {"float", LAT__PLY_F32}, {"float32", LAT__PLY_F32}, {"double", LAT__PLY_F64}, {"float64", LAT__PLY_F64},
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (!word_is(w, names[i].name)) continue;
    *type = names[i].type;
    return true;
  }
  return false;
}

static const char type_names[] = "char, uchar, short, ushort, int, uint, float, double or int8 to float64";

static lat_status parse_format(const line_reader *reader, lat__ply_header *header, bool *seen) {
  word encoding = word_at(reader, 1);
  if (*seen || reader->n_words != 3) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "format line", encoding,
                      "one line of the form 'format ENCODING 1.0'");
  }
  if (!word_is(word_at(reader, 2), "1.0")) {
    return line_error(reader, LAT_STATUS_UNSUPPORTED, "format version", word_at(reader, 2), "1.0");
  }
  *seen = true;
  header->encoding = LAT__PLY_ASCII;
  if (word_is(encoding, "ascii")) return LAT_STATUS_OK;
  header->encoding = LAT__PLY_LITTLE;
  if (word_is(encoding, "binary_little_endian")) return LAT_STATUS_OK;
  header->encoding = LAT__PLY_BIG;
  if (word_is(encoding, "binary_big_endian")) return LAT_STATUS_OK;
  return line_error(reader, LAT_STATUS_UNSUPPORTED, "format", encoding,
                    "ascii, binary_little_endian or binary_big_endian");
}

static lat_status parse_element(const line_reader *reader, lat__ply_header *header) {
  word name = word_at(reader, 1), count = word_at(reader, 2);
  lat__ply_element element = {.name = name.at, .name_bytes = name.n_bytes, .first_property = header->n_properties};
  if (reader->n_words != 3) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "element line", name, "the form 'element NAME COUNT'");
  }
  if (!lat__io_parse_count(count.at, count.n_bytes, &element.count)) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "element count", count,
                      "a whole number from 0 to 9223372036854775807");
  }
  if (header->n_elements == LAT__PLY_ELEMENTS) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "too many elements", name, "32 at most");
  }
  if (word_is(name, "vertex")) {
    if (header->vertex >= 0)
      return line_error(reader, LAT_STATUS_BAD_DATA, "element twice", name, "one vertex element");
    header->vertex = header->n_elements;
  }
  header->elements[header->n_elements++] = element;
  return LAT_STATUS_OK;
}

/// Reads the types of a property line into `property` and gives the index of the name's word.
static lat_status parse_property_types(const line_reader *reader, lat__ply_property *property, int32_t *name_index) {
  property->is_list = word_is(word_at(reader, 1), "list");
  *name_index = property->is_list ? 4 : 2;
  if (reader->n_words != *name_index + 1) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "property line", word_at(reader, 1),
                      "'property TYPE NAME' or 'property list COUNT_TYPE TYPE NAME'");
  }
  if (!parse_type(word_at(reader, *name_index - 1), &property->type)) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "property type", word_at(reader, *name_index - 1), type_names);
  }
  if (!property->is_list) return LAT_STATUS_OK;
  if (!parse_type(word_at(reader, 2), &property->count_type) || property->count_type >= LAT__PLY_F32) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "list count type", word_at(reader, 2), "an integer type");
  }
  return LAT_STATUS_OK;
}

static lat_status parse_property(const line_reader *reader, lat__ply_header *header) {
  lat_status status = LAT_STATUS_OK;
  lat__ply_property property = {.name = NULL};
  int32_t name_index;
  LAT_TRY(parse_property_types(reader, &property, &name_index), done);
  word name = word_at(reader, name_index);
  if (header->n_elements == 0) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "property before any element", name, "an element line first");
  }
  if (header->n_properties == LAT__PLY_PROPERTIES) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "too many properties", name, "512 at most");
  }
  if (name.n_bytes > LAT__PLY_NAME_BYTES) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "property name too long", name, "255 bytes at most");
  }
  lat__ply_element *element = &header->elements[header->n_elements - 1];
  for (int32_t i = 0; i < element->n_properties; i++) {
    const lat__ply_property *other = &header->properties[element->first_property + i];
    if (other->name_bytes == name.n_bytes && memcmp(other->name, name.at, (size_t)name.n_bytes) == 0) {
      return line_error(reader, LAT_STATUS_BAD_DATA, "property twice", name, "distinct names in an element");
    }
  }
  property.name = name.at;
  property.name_bytes = name.n_bytes;
  header->properties[header->n_properties++] = property;
  element->n_properties++;
  element->has_list |= property.is_list;
  element->min_bytes += lat__ply_type_bytes(property.is_list ? property.count_type : property.type);
done:
  return status;
}

/// Checks what only the whole header shows.
static lat_status finish(const line_reader *reader, lat__ply_header *header, bool has_format) {
  const char *missing = !has_format ? "a format line" : header->vertex < 0 ? "an element called vertex" : NULL;
  if (missing) {
    return line_error(reader, LAT_STATUS_BAD_DATA, "incomplete header", word_at(reader, 0), missing);
  }
  header->data_offset = reader->next;
  header->data_line = reader->number + 1;
  return LAT_STATUS_OK;
}

/// The magic line, which also tells how lines end.
static lat_status read_magic(line_reader *reader) {
  const lat__io_content *content = reader->content;
  if (content->n_bytes < 4 || memcmp(content->bytes, "ply", 3) != 0 ||
      (content->bytes[3] != '\n' && content->bytes[3] != '\r')) {
    return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: line 1: not a PLY file: got '%s', expected 'ply'",
                    lat__io_path(content->path).text,
                    lat__io_excerpt(content->bytes, lat__min_i64(content->n_bytes, 8)).text);
  }
  reader->cr_only = content->bytes[3] == '\r' && !(content->n_bytes > 4 && content->bytes[4] == '\n');
  return next_line(reader);
}

lat_status lat__ply_read_header(const lat__io_content *content, lat__ply_header *header) {
  lat_status status = LAT_STATUS_OK;
  line_reader reader = {.content = content};
  bool has_format = false;
  header->encoding = LAT__PLY_ASCII;
  header->n_elements = header->n_properties = 0;
  header->vertex = -1;
  LAT_TRY(read_magic(&reader), done);
  header->cr_only = reader.cr_only;
  for (;;) {
    LAT_TRY(next_line(&reader), done);
    word key = word_at(&reader, 0);
    if (key.n_bytes == 0 || word_is(key, "comment") || word_is(key, "obj_info")) continue;
    if (word_is(key, "end_header")) break;
    if (word_is(key, "format")) {
      LAT_TRY(parse_format(&reader, header, &has_format), done);
    } else if (word_is(key, "element")) {
      LAT_TRY(parse_element(&reader, header), done);
    } else if (word_is(key, "property")) {
      LAT_TRY(parse_property(&reader, header), done);
    } else {
      LAT_TRY(line_error(&reader, LAT_STATUS_BAD_DATA, "unknown header line", key,
                         "format, comment, obj_info, element, property or end_header"),
              done);
    }
  }
  LAT_TRY(finish(&reader, header, has_format), done);
done:
  return status;
}

lat_status lat__ply_check_claim(const lat__io_content *content, const lat__ply_header *header) {
  const lat__ply_element *vertex = &header->elements[header->vertex];
  int64_t left = content->n_bytes - header->data_offset;
  // ASCII needs a digit and a separator for each value; the last separator may be missing.
  bool ascii = header->encoding == LAT__PLY_ASCII;
  int64_t least = ascii ? 2 * (int64_t)vertex->n_properties : vertex->min_bytes;
  int64_t room = ascii ? left + 1 : left;
  if (least > 0 && vertex->count > room / least) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: the header claims %lld vertices of at least %lld bytes: got %lld bytes after the "
                    "header, expected more (truncated or lying)",
                    lat__io_path(content->path).text, (long long)vertex->count, (long long)least, (long long)left);
  }
  return LAT_STATUS_OK;
}
