// Naive kernel relations: the meaning that the library's builders are held to.

#include "ref/ref_relation.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
  int64_t key[4];
  int32_t row;
} entry;

struct ref_dictionary {
  int64_t n;
  entry *entries; // by (key, row)
};

static int compare_keys(const int64_t *a, const int64_t *b) {
  for (int c = 0; c < 4; c++) {
    if (a[c] != b[c]) return a[c] < b[c] ? -1 : 1;
  }
  return 0;
}

static int compare_entries(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int order = compare_keys(x->key, y->key);
  return order ? order : (x->row > y->row) - (x->row < y->row);
}

ref_dictionary *ref_dictionary_create(const int32_t *rows, int64_t n) {
  ref_dictionary *dictionary = malloc(sizeof *dictionary);
  dictionary->n = n;
  dictionary->entries = malloc(((size_t)n + 1) * sizeof(entry));
  for (int64_t r = 0; r < n; r++) {
    for (int c = 0; c < 4; c++) dictionary->entries[r].key[c] = rows[4 * r + c];
    dictionary->entries[r].row = (int32_t)r;
  }
  qsort(dictionary->entries, (size_t)n, sizeof(entry), compare_entries);
  return dictionary;
}

void ref_dictionary_free(ref_dictionary *dictionary) {
  if (!dictionary) return;
  free(dictionary->entries);
  free(dictionary);
}

int32_t ref_dictionary_find(const ref_dictionary *dictionary, int64_t batch, int64_t x, int64_t y, int64_t z) {
  const int64_t key[4] = {batch, x, y, z};
  int64_t low = 0, high = dictionary->n; // the first entry not below the key lies in [low, high]
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (compare_keys(dictionary->entries[middle].key, key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == dictionary->n || compare_keys(dictionary->entries[low].key, key) != 0) return -1;
  return dictionary->entries[low].row;
}

static int64_t offset_of(int64_t index, int64_t size, int64_t dilation) {
  return (size % 2 ? index - size / 2 : index) * dilation;
}

static void append(ref_edges *edges, int64_t *room, int32_t in, int32_t out, int32_t kernel) {
  if (edges->n == *room) {
    *room = 2 * *room + 64;
    edges->in = realloc(edges->in, (size_t)*room * sizeof(int32_t));
    edges->out = realloc(edges->out, (size_t)*room * sizeof(int32_t));
    edges->kernel = realloc(edges->kernel, (size_t)*room * sizeof(int32_t));
  }
  edges->in[edges->n] = in;
  edges->out[edges->n] = out;
  edges->kernel[edges->n] = kernel;
  edges->n++;
}

ref_edges *ref_relation_edges(const int32_t *in, int64_t n_in, const int32_t *out, int64_t n_out, const int32_t size[3],
                              const int32_t stride[3], const int32_t padding[3], const int32_t dilation[3]) {
  ref_dictionary *dictionary = ref_dictionary_create(in, n_in);
  ref_edges *edges = calloc(1, sizeof *edges);
  int64_t room = 0;
  for (int64_t o = 0; o < n_out; o++) {
    const int32_t *row = out + 4 * o;
    int64_t base[3];
    for (int a = 0; a < 3; a++) base[a] = (int64_t)row[1 + a] * stride[a] - padding[a];
    int32_t kernel = 0;
    for (int32_t ix = 0; ix < size[0]; ix++) {
      for (int32_t iy = 0; iy < size[1]; iy++) {
        for (int32_t iz = 0; iz < size[2]; iz++) {
          int32_t found = ref_dictionary_find(dictionary, row[0], base[0] + offset_of(ix, size[0], dilation[0]),
                                              base[1] + offset_of(iy, size[1], dilation[1]),
                                              base[2] + offset_of(iz, size[2], dilation[2]));
          if (found >= 0) append(edges, &room, found, (int32_t)o, kernel);
          kernel++;
        }
      }
    }
  }
  ref_dictionary_free(dictionary);
  return edges;
}

void ref_edges_free(ref_edges *edges) {
  if (!edges) return;
  free(edges->in);
  free(edges->out);
  free(edges->kernel);
  free(edges);
}

int64_t ref_unique_rows(const int32_t *rows, int64_t n, int32_t *out, int32_t *inverse) {
  ref_dictionary *dictionary = ref_dictionary_create(rows, n);
  int32_t *place = malloc(((size_t)n + 1) * sizeof(int32_t)); // of a first row in the output
  int64_t n_out = 0;
  for (int64_t r = 0; r < n; r++) {
    const int32_t *row = rows + 4 * r;
    int32_t first = ref_dictionary_find(dictionary, row[0], row[1], row[2], row[3]);
    if (first == r) {
      place[r] = (int32_t)n_out;
      memmove(out + 4 * n_out, row, 4 * sizeof(int32_t));
      n_out++;
    }
    if (inverse) inverse[r] = place[first];
  }
  free(place);
  ref_dictionary_free(dictionary);
  return n_out;
}

int64_t ref_floor_support(const int32_t *in, int64_t n_in, const int32_t stride[3], int32_t *out) {
  int32_t *floored = malloc(((size_t)n_in + 1) * 4 * sizeof(int32_t));
  for (int64_t r = 0; r < n_in; r++) {
    floored[4 * r] = in[4 * r];
    for (int a = 0; a < 3; a++) {
      int64_t value = in[4 * r + 1 + a];
      int64_t quotient = value / stride[a];
      if (quotient * stride[a] > value) quotient--;
      floored[4 * r + 1 + a] = (int32_t)quotient;
    }
  }
  int64_t n_out = ref_unique_rows(floored, n_in, out, NULL);
  free(floored);
  return n_out;
}
