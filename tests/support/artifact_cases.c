// The graphs are the corpus of the fuzzer: files that read well, and one place for them.
#include "support/artifact_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/artifact.h"
#include "support/test_support.h"

enum { N_GRAPHS = 8, GRAPH_BYTES = 1 << 14 };

const char *lat_test_graph(const char *name) {
  static char names[N_GRAPHS][32], texts[N_GRAPHS][GRAPH_BYTES];
  char relative[96], path[1200];
  int at = 0;
  while (at < N_GRAPHS && names[at][0] && strcmp(names[at], name) != 0) at++;
  assert_in_range(at, 0, N_GRAPHS - 1);
  if (names[at][0]) return texts[at];
  snprintf(relative, sizeof relative, "tests/fuzz/corpus/artifact/%s.mlir", name);
  lat_test_source_path(relative, path, sizeof path);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t n = fread(texts[at], 1, GRAPH_BYTES, file);
  fclose(file);
  assert_in_range(n, 1, GRAPH_BYTES - 1);
  texts[at][n] = '\0';
  snprintf(names[at], sizeof names[at], "%s", name);
  return texts[at];
}

lat_status lat_test_parse_graph(lat_context *context, const char *text, lat_model **out) {
  size_t n = strlen(text);
  char *copy = malloc(n ? n : 1);
  assert_non_null(copy);
  memcpy(copy, text, n);
  lat_status status = lat_model_parse(context, copy, (int64_t)n, out);
  free(copy);
  return status;
}

char *lat_test_replace(const char *text, const char *anchor, const char *from, const char *to, int *line) {
  const char *at = strstr(text, anchor);
  if (!at) fail_msg("no anchor '%s'", anchor);
  const char *place = strstr(at, from);
  if (!place) fail_msg("no '%s' behind '%s'", from, anchor);
  *line = 1;
  for (const char *c = text; c < at; c++) *line += *c == '\n';
  size_t before = (size_t)(place - text), n = strlen(text) - strlen(from) + strlen(to) + 1;
  char *result = malloc(n);
  assert_non_null(result);
  memcpy(result, text, before);
  memcpy(result + before, to, strlen(to));
  strcpy(result + before + strlen(to), place + strlen(from));
  return result;
}

lat_status lat_test_fill_parameters(lat_context *context, lat_model *model, lat_triple kernel, int64_t channels) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; !status && i < model->n_parameters; i++) {
    lat__parameter *p = &model->parameters[i];
    int64_t conv[5] = {channels, kernel.x, kernel.y, kernel.z, channels}, matrix[2] = {channels, channels};
    int32_t rank = p->family == LAT__FAMILY_CONV3D ? 5 : p->family >= LAT__FAMILY_CHANNEL ? 1 : 2;
    int64_t groups = (channels + p->packing.group_size - 1) / (p->packing.group_size ? p->packing.group_size : 1);
    if (!p->packing.bits) {
      if (!p->dense) status = lat_array_full(context, LAT_DTYPE_F32, rank, rank == 5 ? conv : matrix, 0.5, &p->dense);
    } else if (!p->words) {
      int64_t words[3] = {1, channels, groups * p->packing.group_size * p->packing.bits / 32};
      int64_t scales[3] = {1, channels, groups};
      lat_dtype dtype = lat__elem_dtype(p->packing.scale_elem);
      status = lat_array_full(context, LAT_DTYPE_U32, 3, words, 0.0, &p->words);
      if (!status) status = lat_array_full(context, dtype, 3, scales, 1.0, &p->scales);
      if (!status) status = lat_array_full(context, dtype, 3, scales, 0.0, &p->biases);
    }
  }
  return status;
}
