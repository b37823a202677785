/// ASCII PLY bodies: one element a line, empty lines ignored. Vertex lines are read word by word; of other elements only
/// the number of lines is checked.
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/compiler.h"
#include "io/ply.h"

/// The place in the file.
typedef struct text_reader {
  const lat__io_content *content;
  const lat__ply_header *header;
  const lat__ply_element *element; ///< being read
  int64_t row;                     ///< of that element
  const char *next;                ///< next line
  const char *end;                 ///< of the content; a zero byte stands there
  int64_t number;                  ///< of the current line
  const char *at;                  ///< in the current line
  const char *line_end;
} text_reader;

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static void skip_spaces(text_reader *reader) {
  while (reader->at < reader->line_end && is_space(*reader->at)) reader->at++;
}

/// Steps to the next line that is not empty; false at the end of the file.
static bool next_line(text_reader *reader) {
  while (reader->next < reader->end) {
    const char *line_end =
        memchr(reader->next, reader->header->cr_only ? '\r' : '\n', (size_t)(reader->end - reader->next));
    reader->at = reader->next;
    reader->line_end = line_end ? line_end : reader->end;
    reader->next = line_end ? line_end + 1 : reader->end;
    reader->number++;
    skip_spaces(reader);
    if (reader->at < reader->line_end) return true;
  }
  return false;
}

static lat_status word_error(const text_reader *reader, const char *what, int64_t word_bytes, const char *expected) {
  return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: line %lld: %s %lld: %s: got '%s', expected %s",
                  lat__io_path(reader->content->path).text, (long long)reader->number,
                  lat__io_excerpt(reader->element->name, reader->element->name_bytes).text, (long long)reader->row,
                  what, lat__io_excerpt(reader->at, word_bytes).text, expected);
}

static const char *const type_text[] = {"a whole number from -128 to 127",
                                        "a whole number from 0 to 255",
                                        "a whole number from -32768 to 32767",
                                        "a whole number from 0 to 65535",
                                        "a whole number from -2147483648 to 2147483647",
                                        "a whole number from 0 to 4294967295",
                                        "a float32 number",
                                        "a float64 number"};

static bool in_range(lat__ply_type type, long long value) {
  static const struct {
    long long low, high;
  } ranges[] = {{INT8_MIN, INT8_MAX}, {0, UINT8_MAX},         {INT16_MIN, INT16_MAX},
                {0, UINT16_MAX},      {INT32_MIN, INT32_MAX}, {0, UINT32_MAX}};
  return value >= ranges[type].low && value <= ranges[type].high;
}

/// Reads the next word of the line as a value of `type`.
static lat_status read_value(text_reader *reader, lat__ply_type type, double *value) {
  skip_spaces(reader);
  const char *word_end = reader->at;
  while (word_end < reader->line_end && !is_space(*word_end)) word_end++;
  int64_t word_bytes = word_end - reader->at;
  if (word_bytes == 0) return word_error(reader, "too few values on the line", 0, type_text[type]);
  char *stop;
  bool fits;
  errno = 0;
  if (type == LAT__PLY_F32) {
    float single = strtof(reader->at, &stop);
    fits = !(errno == ERANGE && isinf(single));
    *value = (double)single;
  } else if (type == LAT__PLY_F64) {
    *value = strtod(reader->at, &stop);
    fits = !(errno == ERANGE && isinf(*value));
  } else {
    long long whole = strtoll(reader->at, &stop, 10);
    fits = in_range(type, whole); // out of long long: its limits, which no type reaches
    *value = (double)whole;
  }
  if (stop != word_end || !fits) return word_error(reader, "bad value", word_bytes, type_text[type]);
  reader->at = word_end;
  return LAT_STATUS_OK;
}

/// Steps over a list's items on the line.
static lat_status skip_list(text_reader *reader, const lat__ply_property *property) {
  lat_status status = LAT_STATUS_OK;
  double count, ignored;
  LAT_TRY(read_value(reader, property->count_type, &count), done);
  if (count < 0) return word_error(reader, "negative list count before", reader->line_end - reader->at, "0 or more");
  // Ends with the line at the latest: a missing value is an error.
  for (double i = 0; i < count; i++) LAT_TRY(read_value(reader, property->type, &ignored), done);
done:
  return status;
}

static lat_status read_vertex(text_reader *reader, const lat__ply_columns *columns) {
  lat_status status = LAT_STATUS_OK;
  for (int32_t i = 0; i < reader->element->n_properties; i++) {
    const lat__ply_property *property = &reader->header->properties[reader->element->first_property + i];
    double value;
    if (property->is_list) {
      LAT_TRY(skip_list(reader, property), done);
      continue;
    }
    LAT_TRY(read_value(reader, property->type, &value), done);
    lat__ply_store(&columns->column[i], reader->row, value);
  }
  skip_spaces(reader);
  if (reader->at < reader->line_end) {
    status = word_error(reader, "too many values on the line", reader->line_end - reader->at, "its end");
  }
done:
  return status;
}

static lat_status read_element(text_reader *reader, const lat__ply_columns *columns) {
  lat_status status = LAT_STATUS_OK;
  if (reader->element->n_properties == 0) return LAT_STATUS_OK;
  for (reader->row = 0; reader->row < reader->element->count; reader->row++) {
    if (!next_line(reader)) {
      return lat_fail(LAT_STATUS_BAD_DATA,
                      "cloud_read: %s: line %lld: truncated: got the end of the file before %s %lld, expected %lld of "
                      "them",
                      lat__io_path(reader->content->path).text, (long long)reader->number,
                      lat__io_excerpt(reader->element->name, reader->element->name_bytes).text, (long long)reader->row,
                      (long long)reader->element->count);
    }
    if (columns) LAT_TRY(read_vertex(reader, columns), done);
  }
done:
  return status;
}

static lat_status read_body(text_reader *reader, const lat__ply_columns *columns) {
  lat_status status = LAT_STATUS_OK;
  for (int32_t i = 0; i < reader->header->n_elements; i++) {
    reader->element = &reader->header->elements[i];
    LAT_TRY(read_element(reader, i == reader->header->vertex ? columns : NULL), done);
  }
  if (next_line(reader)) {
    status = word_error(reader, "data after the last element", reader->line_end - reader->at, "the end of the file");
  }
done:
  return status;
}

lat_status lat__ply_read_ascii(const lat__io_content *content, const lat__ply_header *header,
                               const lat__ply_columns *columns) {
  text_reader reader = {.content = content,
                        .header = header,
                        .next = (const char *)content->bytes + header->data_offset,
                        .end = (const char *)content->bytes + content->n_bytes,
                        .number = header->data_line - 1};
  // The host's locale may write 1,5 for 1.5: numbers in files are in the C locale.
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "cloud_read: no memory for the C locale");
  locale_t previous = uselocale(c_locale);
  lat_status status = read_body(&reader, columns);
  uselocale(previous);
  freelocale(c_locale);
  return status;
}
