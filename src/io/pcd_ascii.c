/// ASCII PCD bodies: one point a line, empty lines ignored. Each word becomes the bytes that it would have in a binary
/// file, so that both kinds end in the same place.
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/compiler.h"
#include "io/pcd.h"

/// The place in the file.
typedef struct text_reader {
  const lat__io_content *content;
  const lat__pcd_header *header;
  int64_t row;
  const char *next; ///< next line
  const char *end;  ///< of the content; a zero byte stands there
  int64_t number;   ///< of the current line
  const char *at;   ///< in the current line
  const char *line_end;
} text_reader;

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

/// End of the word that begins at the reader's place, white space before it skipped.
static const char *find_word(text_reader *reader) {
  while (reader->at < reader->line_end && is_space(*reader->at)) reader->at++;
  const char *word_end = reader->at;
  while (word_end < reader->line_end && !is_space(*word_end)) word_end++;
  return word_end;
}

/// Steps to the next line that is not empty; false at the end of the file.
static bool next_line(text_reader *reader) {
  while (reader->next < reader->end) {
    const char *line_end = memchr(reader->next, '\n', (size_t)(reader->end - reader->next));
    reader->at = reader->next;
    reader->line_end = line_end ? line_end : reader->end;
    reader->next = line_end ? line_end + 1 : reader->end;
    reader->number++;
    if (find_word(reader) > reader->at) return true;
  }
  return false;
}

static lat_status word_error(const text_reader *reader, const char *what, int64_t word_bytes, const char *expected) {
  return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: line %lld: point %lld: %s: got '%s', expected %s",
                  lat__io_path(reader->content->path).text, (long long)reader->number, (long long)reader->row, what,
                  lat__io_excerpt(reader->at, word_bytes).text, expected);
}

static const char *const type_text[] = {"a whole number from -128 to 127",
                                        "a whole number from 0 to 255",
                                        "a whole number from -32768 to 32767",
                                        "a whole number from 0 to 65535",
                                        "a whole number from -2147483648 to 2147483647",
                                        "a whole number from 0 to 4294967295",
                                        "a whole number from -9223372036854775808 to 9223372036854775807",
                                        "a whole number from 0 to 9223372036854775807",
                                        "a float32 number",
                                        "a float64 number"};

/// The bits of a word as a float type; false when it is none or too large.
static bool parse_float(const char *at, const char *word_end, lat__scalar type, uint64_t *bits) {
  char *stop;
  if (type == LAT__SCALAR_F64) {
    double wide = strtod(at, &stop);
    memcpy(bits, &wide, sizeof wide);
    return stop == word_end && !(errno == ERANGE && isinf(wide));
  }
  float single = strtof(at, &stop);
  uint32_t low;
  memcpy(&low, &single, sizeof low);
  *bits = low;
  return stop == word_end && !(errno == ERANGE && isinf(single));
}

/// The bits of a word as an integer type; false when it is none or outside the type's range (of uint64: of int64's).
static bool parse_whole(const char *at, const char *word_end, lat__scalar type, uint64_t *bits) {
  static const struct {
    long long low, high;
  } ranges[] = {{INT8_MIN, INT8_MAX},   {0, UINT8_MAX},  {INT16_MIN, INT16_MAX}, {0, UINT16_MAX},
                {INT32_MIN, INT32_MAX}, {0, UINT32_MAX}, {INT64_MIN, INT64_MAX}, {0, INT64_MAX}};
  char *stop;
  long long whole = strtoll(at, &stop, 10);
  *bits = (uint64_t)whole;
  return stop == word_end && errno != ERANGE && whole >= ranges[type].low && whole <= ranges[type].high;
}

/// Reads the next word of the line into `row` of a column.
static lat_status read_value(text_reader *reader, const lat__column *column) {
  uint64_t bits;
  uint8_t bytes[8];
  const char *word_end = find_word(reader);
  int64_t word_bytes = word_end - reader->at;
  if (word_bytes == 0) return word_error(reader, "too few values on the line", 0, type_text[column->type]);
  errno = 0;
  bool is_float = column->type >= LAT__SCALAR_F32;
  if (!(is_float ? parse_float : parse_whole)(reader->at, word_end, column->type, &bits)) {
    return word_error(reader, "bad value", word_bytes, type_text[column->type]);
  }
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(bits >> (8 * i));
  if (!lat__table_store(column, reader->row, bytes)) {
    return word_error(reader, "bad value", word_bytes, type_text[column->type]);
  }
  reader->at = word_end;
  return LAT_STATUS_OK;
}

/// Steps over a value that is dropped; what it is does not matter.
static lat_status skip_value(text_reader *reader) {
  const char *word_end = find_word(reader);
  if (word_end == reader->at) return word_error(reader, "too few values on the line", 0, "a value of padding");
  reader->at = word_end;
  return LAT_STATUS_OK;
}

static lat_status read_point(text_reader *reader, const lat__table *table) {
  lat_status status = LAT_STATUS_OK;
  int32_t column = 0;
  for (int32_t i = 0; i < reader->header->n_fields; i++) {
    const lat__pcd_field *field = &reader->header->fields[i];
    for (int32_t element = 0; element < field->count; element++) {
      if (field->padding) {
        LAT_TRY(skip_value(reader), done);
      } else {
        LAT_TRY(read_value(reader, &table->columns[column++]), done);
      }
    }
  }
  if (find_word(reader) > reader->at) {
    status = word_error(reader, "too many values on the line", reader->line_end - reader->at, "its end");
  }
done:
  return status;
}

static lat_status read_points(text_reader *reader, const lat__table *table) {
  lat_status status = LAT_STATUS_OK;
  for (reader->row = 0; reader->row < table->n_rows; reader->row++) {
    if (!next_line(reader)) {
      return lat_fail(LAT_STATUS_BAD_DATA,
                      "cloud_read: %s: line %lld: truncated: got the end of the file before point %lld, expected %lld "
                      "of them",
                      lat__io_path(reader->content->path).text, (long long)reader->number, (long long)reader->row,
                      (long long)table->n_rows);
    }
    LAT_TRY(read_point(reader, table), done);
  }
  if (next_line(reader)) {
    status = word_error(reader, "data after the last point", reader->line_end - reader->at, "the end of the file");
  }
done:
  return status;
}

lat_status lat__pcd_read_ascii(const lat__io_content *content, const lat__pcd_header *header, const lat__table *table) {
  text_reader reader = {.content = content,
                        .header = header,
                        .next = (const char *)content->bytes + header->data_offset,
                        .end = (const char *)content->bytes + content->n_bytes,
                        .number = header->data_line - 1};
  // The host's locale may write 1,5 for 1.5: numbers in files are in the C locale.
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "cloud_read: no memory for the C locale");
  locale_t previous = uselocale(c_locale);
  lat_status status = read_points(&reader, table);
  uselocale(previous);
  freelocale(c_locale);
  return status;
}
