// The table of artifact version 3 in docs/artifact.md is the one that the code has, and the digest in the code is the
// SHA-256 of it. With LATTICE_RECORD=1 the page is written instead: read the difference, then put the digest that this test
// prints into src/model/artifact.h and tests/fuzz/corpus/artifact/version3.mlir. A released table is never changed: it becomes a version of its own.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/artifact.h"
#include "support/sha256.h"
#include "support/test_support.h"

static char table[1 << 16];
static size_t used;

static void put(const char *format, ...) LAT_PRINTF(1, 2);

static void put(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(table + used, sizeof table - used, format, arguments);
  va_end(arguments);
  assert_true(n >= 0 && (size_t)n < sizeof table - used);
  used += (size_t)n;
}

static void put_words(const lat__enum_desc *words) {
  for (int i = 0; words->words[i]; i++) {
    put("%s%s",
        i == 0                   ? (i == words->n_version2 ? " | " : " ")
        : i == words->n_version2 ? " | "
                                 : ", ",
        words->words[i]);
  }
}

static void put_attr(const lat__op_attr *attr) {
  static const char *const kinds[] = {"int", "float", "text", "word", "enum", "ints", "floats", "packing"};
  static const char *const ranges[] = {"", " >0", " >=0", " >=-1"};
  const lat__attr_desc *desc = &lat__attr_table[attr->key];
  put("\"%s%s%s\": \"%s", desc->name, attr->optional ? "?" : "", attr->version == 3 ? " 3" : "", kinds[desc->kind]);
  if (desc->words) {
    if (desc->words->mnemonic) put(" #lattice.%s", desc->words->mnemonic);
    put_words(desc->words);
  }
  put("%s\"", ranges[desc->range]);
}

static void put_op(const lat__op_desc *desc, int last) {
  static const char *const kinds[] = {"tensor", "sparse", "weight"};
  put("  \"%s%s\": {\"operands\": {", desc->name, desc->version == 3 ? " 3" : "");
  for (int i = 0; i < desc->n_operands; i++) {
    const lat__operand_desc *operand = &desc->operands[i];
    put("%s\"%s%s%s\": \"%s", i ? ", " : "", operand->name,
        operand->optional == 3 ? "? 3"
        : operand->optional    ? "?"
                               : "",
        desc->repeats && i == desc->n_operands - 1 ? "*" : "", kinds[operand->kind]);
    if (operand->kind == LAT__TYPE_WEIGHT) put(" w %s", lat__family_name(operand->family));
    put("\"");
  }
  put("}, \"attributes\": {");
  for (int i = 0; i < desc->n_attrs; i++) {
    if (i) put(", ");
    put_attr(&desc->attrs[i]);
  }
  put("}, \"results\": [");
  for (int i = 0; i < desc->n_results; i++) put("%s\"%s\"", i ? ", " : "", kinds[desc->results[i]]);
  put("]}%s\n", last ? "" : ",");
}

static void make_table(void) {
  used = 0;
  put("{\n");
  for (int kind = 0; kind < LAT__N_OPS; kind++) put_op(&lat__op_table[kind], kind == LAT__N_OPS - 1);
  put("}\n");
}

static char page[1 << 17];

/// Reads the page; gives the place of its table and its end.
static void read_page(const char *path, char **begin, char **end) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t n = fread(page, 1, sizeof page - 1, file);
  fclose(file);
  page[n] = '\0';
  *begin = strstr(page, "```json\n");
  assert_non_null(*begin);
  *begin += strlen("```json\n");
  *end = strstr(*begin, "```");
  assert_non_null(*end);
}

static void record(const char *path, const char *begin, const char *end) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  fwrite(page, 1, (size_t)(begin - page), file);
  fwrite(table, 1, used, file);
  fputs(end, file);
  fclose(file);
}

static void digest_is_of_the_documented_table(void **state) {
  (void)state;
  char path[1024], digest[65], *begin = NULL, *end = NULL;
  lat_test_source_path("docs/artifact.md", path, sizeof path);
  read_page(path, &begin, &end);
  make_table();
  const char *recording = getenv("LATTICE_RECORD");
  if (recording && recording[0] == '1') {
    record(path, begin, end);
    read_page(path, &begin, &end);
  }
  lat_test_sha256(begin, (size_t)(end - begin), digest);
  if ((size_t)(end - begin) != used || memcmp(begin, table, used) != 0) {
    lat_test_sha256(table, used, digest);
    fail_msg("the table in docs/artifact.md is not the code's, whose digest is %s", digest);
  }
  assert_string_equal(digest, LAT__DIGEST_3);
}

static void sha256_is_sha256(void **state) {
  (void)state;
  char digest[65], million[1000];
  lat_test_sha256("abc", 3, digest);
  assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  lat_test_sha256("", 0, digest);
  assert_string_equal(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  lat_test_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, digest);
  assert_string_equal(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  memset(million, 'a', sizeof million);
  lat_test_sha256(million, sizeof million, digest);
  assert_string_equal(digest, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sha256_is_sha256),
      cmocka_unit_test(digest_is_of_the_documented_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
