/// Problem strings: the tables of operators and keys, the parser and the printer.
///
/// Both directions walk the same table of keys, so that what is printed can be read. Lists of values live in
/// problem_list.c.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

// --- names ----------------------------------------------------------------------------------------------------------

typedef struct named_value {
  const char *name;
  int32_t value;
} named_value;

static const named_value type_names[] = {
    {"f32", LAT_DTYPE_F32}, {"f16", LAT_DTYPE_F16}, {"bf16", LAT_DTYPE_BF16}, {NULL, 0}};
static const named_value weights_names[] = {{"f32", PROBLEM_WEIGHTS_F32},   {"f16", PROBLEM_WEIGHTS_F16},
                                            {"bf16", PROBLEM_WEIGHTS_BF16}, {"int8", PROBLEM_WEIGHTS_INT8},
                                            {"int4", PROBLEM_WEIGHTS_INT4}, {NULL, 0}};
static const named_value scene_names[] = {{"random", PROBLEM_SCENE_RANDOM},
                                          {"street", PROBLEM_SCENE_STREET},
                                          {"cpu_lidar", PROBLEM_SCENE_CPU_LIDAR},
                                          {"cpu_indoor", PROBLEM_SCENE_CPU_INDOOR},
                                          {NULL, 0}};
static const named_value level_names[] = {{"auto", LAT_CPU_LEVEL_AUTO},     {"scalar", LAT_CPU_LEVEL_SCALAR},
                                          {"neon", LAT_CPU_LEVEL_NEON},     {"avx2", LAT_CPU_LEVEL_AVX2},
                                          {"avx512", LAT_CPU_LEVEL_AVX512}, {NULL, 0}};
static const named_value peer_names[] = {{"none", PROBLEM_PEER_NONE}, {"naive", PROBLEM_PEER_NAIVE}, {NULL, 0}};

static const named_value grad_names[] = {
    {"none", PROBLEM_GRAD_NONE}, {"x", PROBLEM_GRAD_X}, {"weight", PROBLEM_GRAD_WEIGHT}, {NULL, 0}};
static const named_value support_names[] = {{"floor", LAT_SUPPORT_FLOOR}, {"reach", LAT_SUPPORT_REACH}, {NULL, 0}};
static const named_value conv_modes[] = {{"forward", LAT_RELATION_FORWARD}, {"target", LAT_RELATION_TARGET}, {NULL, 0}};
static const named_value relation_modes[] = {
    {"forward", LAT_RELATION_FORWARD}, {"subm", LAT_RELATION_SUBMANIFOLD}, {"target", LAT_RELATION_TARGET}, {NULL, 0}};
static const named_value pool_modes[] = {
    {"sum", LAT_POOL_SUM}, {"max", LAT_POOL_MAX}, {"avg", LAT_POOL_AVG}, {NULL, 0}};
static const named_value gelu_modes[] = {
    {"none", LAT_GELU_NONE}, {"tanh", LAT_GELU_TANH}, {"fast", LAT_GELU_FAST}, {NULL, 0}};
static const named_value join_modes[] = {{"inner", LAT_JOIN_INNER},
                                         {"left", LAT_JOIN_LEFT},
                                         {"right", LAT_JOIN_RIGHT},
                                         {"outer", LAT_JOIN_OUTER},
                                         {NULL, 0}};
static const named_value voxelize_modes[] = {{"mean", LAT_VOXEL_MEAN}, {"sum", LAT_VOXEL_SUM}, {NULL, 0}};
static const named_value devoxelize_modes[] = {
    {"linear", LAT_INTERPOLATION_LINEAR}, {"nearest", LAT_INTERPOLATION_NEAREST}, {NULL, 0}};

static const char *name_of(const named_value *names, int32_t value) {
  for (; names && names->name; names++) {
    if (names->value == value) return names->name;
  }
  return "";
}

// --- operators and keys ---------------------------------------------------------------------------------------------

/// Bits of the keys, in the order of the table below.
typedef enum key_bit {
  KEY_CIN = 1 << 0,
  KEY_COUT = 1 << 1,
  KEY_KERNEL = 1 << 2,
  KEY_STRIDE = 1 << 3,
  KEY_PADDING = 1 << 4,
  KEY_DILATION = 1 << 5,
  KEY_MODE = 1 << 6,
  KEY_RADIUS = 1 << 7,
  KEY_NEIGHBORS = 1 << 8,
  KEY_TYPE = 1 << 9,
  KEY_WEIGHTS = 1 << 10,
  KEY_SCENE = 1 << 11,
  KEY_SCAN = 1 << 12,
  KEY_VOXEL = 1 << 13,
  KEY_DENSITY = 1 << 14,
  KEY_N = 1 << 15,
  KEY_BATCH = 1 << 16,
  KEY_SEED = 1 << 17,
  KEY_LEVEL = 1 << 18,
  KEY_THREADS = 1 << 19,
  KEY_PEER = 1 << 20,
  KEY_SUPPORT = 1 << 21,
  KEY_GRAD = 1 << 22
} key_bit;

#define KEYS_COMMON                                                                                                    \
  (KEY_SCENE | KEY_SCAN | KEY_VOXEL | KEY_DENSITY | KEY_N | KEY_BATCH | KEY_SEED | KEY_LEVEL | KEY_THREADS)
#define KEYS_WEIGHTED (KEY_CIN | KEY_COUT | KEY_TYPE | KEY_WEIGHTS | KEY_GRAD)
#define KEYS_FEATURE (KEY_CIN | KEY_TYPE)
#define KEYS_GEOMETRY (KEY_KERNEL | KEY_STRIDE | KEY_PADDING | KEY_DILATION | KEY_SUPPORT)

typedef struct op_rule {
  const char *name;
  uint32_t keys;            ///< besides KEYS_COMMON
  uint32_t printed;         ///< keys that the canonical string always has, besides the scene
  const named_value *modes; ///< NULL: none
  int32_t mode;             ///< default mode
  int32_t kernel, stride;   ///< default geometry
} op_rule;

static const op_rule ops[PROBLEM_N_OPS] = {
    [PROBLEM_CONV3D] = {"conv3d", KEYS_WEIGHTED | KEYS_GEOMETRY | KEY_MODE | KEY_PEER,
                        KEY_CIN | KEY_COUT | KEY_KERNEL | KEY_STRIDE | KEY_TYPE, conv_modes, LAT_RELATION_FORWARD, 3,
                        1},
    [PROBLEM_SUBM_CONV3D] = {"subm_conv3d", KEYS_WEIGHTED | KEY_KERNEL | KEY_DILATION | KEY_PEER,
                             KEY_CIN | KEY_COUT | KEY_KERNEL | KEY_TYPE, NULL, 0, 3, 1},
    [PROBLEM_LINEAR] = {"linear", KEYS_WEIGHTED, KEY_CIN | KEY_COUT | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_POOL3D] = {"pool3d", KEYS_FEATURE | KEYS_GEOMETRY | KEY_MODE,
                        KEY_CIN | KEY_KERNEL | KEY_STRIDE | KEY_MODE | KEY_TYPE, pool_modes, LAT_POOL_SUM, 2, 2},
    [PROBLEM_GLOBAL_POOL] = {"global_pool", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, pool_modes,
                             LAT_POOL_SUM, 1, 1},
    [PROBLEM_RELU] = {"relu", KEYS_FEATURE, KEY_CIN | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_GELU] = {"gelu", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, gelu_modes, LAT_GELU_NONE, 1, 1},
    [PROBLEM_BATCH_NORM] = {"batch_norm", KEYS_FEATURE, KEY_CIN | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_LAYER_NORM] = {"layer_norm", KEYS_FEATURE, KEY_CIN | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_RMS_NORM] = {"rms_norm", KEYS_FEATURE, KEY_CIN | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_SPARSE_ADD] = {"sparse_add", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, join_modes,
                            LAT_JOIN_OUTER, 1, 1},
    [PROBLEM_SPARSE_CAT] = {"sparse_cat", KEYS_FEATURE | KEY_COUT | KEY_MODE, KEY_CIN | KEY_COUT | KEY_MODE | KEY_TYPE,
                            join_modes, LAT_JOIN_INNER, 1, 1},
    [PROBLEM_VOXELIZE] = {"voxelize", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, voxelize_modes,
                          LAT_VOXEL_MEAN, 1, 1},
    [PROBLEM_DEVOXELIZE] = {"devoxelize", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, devoxelize_modes,
                            LAT_INTERPOLATION_LINEAR, 1, 1},
    [PROBLEM_RELATION] = {"relation", KEYS_GEOMETRY | KEY_MODE, KEY_KERNEL | KEY_STRIDE | KEY_MODE, relation_modes,
                          LAT_RELATION_FORWARD, 3, 1},
    [PROBLEM_RADIUS] = {"radius", KEY_RADIUS | KEY_NEIGHBORS, KEY_RADIUS, NULL, 0, 1, 1},
    [PROBLEM_KNN] = {"knn", KEY_NEIGHBORS, KEY_NEIGHBORS, NULL, 0, 1, 1},
};

/// How a key's value is written.
typedef enum key_kind {
  KIND_COUNT,  ///< whole number with an optional suffix k or M; int64_t
  KIND_SMALL,  ///< whole number; int32_t
  KIND_SEED,   ///< whole number; uint64_t
  KIND_REAL,   ///< decimal number; double
  KIND_TRIPLE, ///< "3" or "3x1x5"; lat_triple
  KIND_NAME,   ///< one of `names`; an enum or int32_t
  KIND_PATH    ///< text; char[PROBLEM_PATH_BYTES]
} key_kind;

typedef struct key_rule {
  const char *name;
  key_bit bit;
  key_kind kind;
  size_t offset;    ///< of the field in problem
  double low, high; ///< inclusive range of numbers (reals: low excluded unless it is 0 and the key is radius)
  const named_value *names;
} key_rule;

#define FIELD(member) offsetof(problem, member)

static const key_rule keys[] = {
    {"cin", KEY_CIN, KIND_COUNT, FIELD(c_in), 1, 65536, NULL},
    {"cout", KEY_COUT, KIND_COUNT, FIELD(c_out), 1, 65536, NULL},
    {"k", KEY_KERNEL, KIND_TRIPLE, FIELD(kernel), 1, INT32_MAX, NULL},
    {"s", KEY_STRIDE, KIND_TRIPLE, FIELD(stride), 1, INT32_MAX, NULL},
    {"p", KEY_PADDING, KIND_TRIPLE, FIELD(padding), 0, INT32_MAX, NULL},
    {"d", KEY_DILATION, KIND_TRIPLE, FIELD(dilation), 1, INT32_MAX, NULL},
    {"support", KEY_SUPPORT, KIND_NAME, FIELD(support), 0, 0, support_names},
    {"mode", KEY_MODE, KIND_NAME, FIELD(mode), 0, 0, NULL},
    {"radius", KEY_RADIUS, KIND_REAL, FIELD(radius), 0, 1e9, NULL},
    {"neighbors", KEY_NEIGHBORS, KIND_COUNT, FIELD(neighbors), 0, INT32_MAX, NULL},
    {"type", KEY_TYPE, KIND_NAME, FIELD(type), 0, 0, type_names},
    {"weights", KEY_WEIGHTS, KIND_NAME, FIELD(weights), 0, 0, weights_names},
    {"grad", KEY_GRAD, KIND_NAME, FIELD(grad), 0, 0, grad_names},
    {"scene", KEY_SCENE, KIND_NAME, FIELD(scene), 0, 0, scene_names},
    {"scan", KEY_SCAN, KIND_PATH, FIELD(scan), 0, 0, NULL},
    {"voxel", KEY_VOXEL, KIND_REAL, FIELD(voxel), 1e-9, 1e9, NULL},
    {"density", KEY_DENSITY, KIND_REAL, FIELD(density), 1e-9, 1, NULL},
    {"n", KEY_N, KIND_COUNT, FIELD(n), 0, INT32_MAX, NULL},
    {"batch", KEY_BATCH, KIND_SMALL, FIELD(batch), 1, 65536, NULL},
    {"seed", KEY_SEED, KIND_SEED, FIELD(seed), 0, 0, NULL},
    {"level", KEY_LEVEL, KIND_NAME, FIELD(level), 0, 0, level_names},
    {"threads", KEY_THREADS, KIND_SMALL, FIELD(threads), 0, 4096, NULL},
    {"peer", KEY_PEER, KIND_NAME, FIELD(peer), 0, 0, peer_names},
};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

// Names are stored through int32_t: the enums of the public headers and of problem.h must be as wide.
_Static_assert(sizeof(lat_dtype) == sizeof(int32_t) && sizeof(problem_scene) == sizeof(int32_t), "enums are 32-bit");

/// Dense weights of the features' type.
static problem_weights dense_weights(lat_dtype type) {
  return type == LAT_DTYPE_F16    ? PROBLEM_WEIGHTS_F16
         : type == LAT_DTYPE_BF16 ? PROBLEM_WEIGHTS_BF16
                                  : PROBLEM_WEIGHTS_F32;
}

static problem defaults_of(problem_op op) {
  const op_rule *rule = &ops[op];
  problem item = {.op = op,
                  .mode = rule->mode,
                  .n = PROBLEM_ANY_COUNT,
                  .c_in = 64,
                  .c_out = 64,
                  .kernel = lat_triple_all(rule->kernel),
                  .stride = lat_triple_all(rule->stride),
                  .dilation = lat_triple_all(1),
                  .type = LAT_DTYPE_F32,
                  .weights = PROBLEM_WEIGHTS_F32,
                  .voxel = 0.05,
                  .density = 0.1,
                  .radius = 2.0,
                  .neighbors = op == PROBLEM_KNN ? 16 : 0,
                  .batch = 1};
  return item;
}

static uint32_t keys_of(problem_op op) {
  return ops[op].keys | KEYS_COMMON;
}

static const named_value *names_of(const key_rule *key, problem_op op) {
  return key->bit == KEY_MODE ? ops[op].modes : key->names;
}

// --- parser ---------------------------------------------------------------------------------------------------------

/// "a, b, c" of the names.
static void list_names(const named_value *names, char *buffer, size_t bytes) {
  size_t used = 0;
  buffer[0] = '\0';
  for (; names && names->name && used < bytes; names++) {
    used += (size_t)snprintf(buffer + used, bytes - used, "%s%s", used ? ", " : "", names->name);
  }
}

static lat_status bad_value(const key_rule *key, const char *text, const char *expected) {
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad value of key '%s': got '%.80s', expected %s", key->name,
                  text, expected);
}

static lat_status bad_number(const key_rule *key, const char *text, const char *form) {
  char expected[160];
  snprintf(expected, sizeof expected, "%s from %.12g to %.12g", form, key->low, key->high);
  return bad_value(key, text, expected);
}

/// Reads an unsigned decimal number at `*text` and steps over it. Signs, blanks, hexadecimals, inf and nan are no numbers.
static bool read_number(const char **text, double *out) {
  size_t n = strspn(*text, "0123456789.");
  if (n == 0 || n > 40) return false;
  char digits[48], *end;
  memcpy(digits, *text, n);
  digits[n] = '\0';
  *out = strtod(digits, &end);
  if (*end || end == digits) return false;
  *text += n;
  return true;
}

static lat_status parse_count(const key_rule *key, const char *text, int64_t *out) {
  const char *at = text;
  double number;
  if (!read_number(&at, &number)) return bad_number(key, text, "a whole number (suffixes k, M)");
  if (*at == 'k') {
    number *= 1e3;
    at++;
  } else if (*at == 'M') {
    number *= 1e6;
    at++;
  }
  number = fabs(number - nearbyint(number)) < 1e-6 ? nearbyint(number) : number; // 0.001M has no exact double
  if (*at || number < key->low || number > key->high || number > floor(number)) {
    return bad_number(key, text, "a whole number (suffixes k, M)");
  }
  *out = (int64_t)number;
  return LAT_STATUS_OK;
}

static lat_status parse_seed(const key_rule *key, const char *text, uint64_t *out) {
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end || errno) return bad_value(key, text, "a whole number below 2^64");
  *out = number;
  return LAT_STATUS_OK;
}

static lat_status parse_real(const key_rule *key, const char *text, double *out) {
  const char *at = text;
  double number;
  char *end;
  if (!read_number(&at, &number)) return bad_number(key, text, "a number");
  if (*at == 'e') { // 1e-05, as the printer writes small numbers
    number = strtod(text, &end);
    at = end;
  }
  if (*at || number < key->low || number > key->high) return bad_number(key, text, "a number");
  *out = number;
  return LAT_STATUS_OK;
}

static lat_status parse_triple(const key_rule *key, const char *text, lat_triple *out) {
  static const char form[] = "one whole number, or three as in 3x1x5,";
  const char *at = text;
  double number[3];
  int n = 0;
  for (;;) {
    if (n == 3 || !read_number(&at, &number[n])) return bad_number(key, text, form);
    if (number[n] < key->low || number[n] > key->high || number[n] > floor(number[n])) {
      return bad_number(key, text, form);
    }
    n++;
    if (*at != 'x') break;
    at++;
  }
  if (*at || n == 2) return bad_number(key, text, form);
  *out = n == 1 ? lat_triple_all((int32_t)number[0])
                : (lat_triple){(int32_t)number[0], (int32_t)number[1], (int32_t)number[2]};
  return LAT_STATUS_OK;
}

static lat_status parse_name(const key_rule *key, const named_value *names, const char *text, int32_t *out) {
  for (const named_value *entry = names; entry && entry->name; entry++) {
    if (strcmp(entry->name, text) != 0) continue;
    *out = entry->value;
    return LAT_STATUS_OK;
  }
  char expected[160];
  list_names(names, expected, sizeof expected);
  return bad_value(key, text, expected);
}

static lat_status parse_path(const key_rule *key, const char *text, char *out) {
  size_t n = strlen(text);
  if (n == 0 || n >= PROBLEM_PATH_BYTES) return bad_value(key, text, "a file name of 1 to 255 bytes");
  memcpy(out, text, n + 1);
  return LAT_STATUS_OK;
}

static lat_status parse_value(const key_rule *key, const char *text, problem *item) {
  char *field = (char *)item + key->offset;
  int64_t count;
  lat_status status = LAT_STATUS_OK;
  switch (key->kind) {
  case KIND_COUNT:
    return parse_count(key, text, (int64_t *)(void *)field);
  case KIND_SMALL:
    status = parse_count(key, text, &count);
    if (!status) *(int32_t *)(void *)field = (int32_t)count;
    return status;
  case KIND_SEED:
    return parse_seed(key, text, (uint64_t *)(void *)field);
  case KIND_REAL:
    return parse_real(key, text, (double *)(void *)field);
  case KIND_TRIPLE:
    return parse_triple(key, text, (lat_triple *)(void *)field);
  case KIND_NAME:
    return parse_name(key, names_of(key, item->op), text, (int32_t *)(void *)field);
  case KIND_PATH:
    return parse_path(key, text, field);
  }
  return status;
}

static lat_status find_op(const char *name, problem_op *out) {
  char known[256] = "";
  size_t used = 0;
  for (int i = 0; i < PROBLEM_N_OPS; i++) {
    if (strcmp(ops[i].name, name) == 0) {
      *out = (problem_op)i;
      return LAT_STATUS_OK;
    }
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", ops[i].name);
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: unknown operator: got '%.80s', expected one of %s", name,
                  known);
}

static lat_status find_key(const char *name, problem_op op, const key_rule **out) {
  char known[256] = "";
  size_t used = 0;
  for (int i = 0; i < N_KEYS; i++) {
    if (!(keys_of(op) & keys[i].bit)) continue;
    if (strcmp(keys[i].name, name) == 0) {
      *out = &keys[i];
      return LAT_STATUS_OK;
    }
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", keys[i].name);
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: unknown key: got '%.80s', expected one that %s takes: %s",
                  name, ops[op].name, known);
}

/// Fills what depends on other keys and checks what must agree. `seen`: bits of the keys that were given.
static lat_status settle(problem *item, uint32_t seen) {
  if ((seen & KEY_SCENE) && (seen & KEY_SCAN)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: scene and scan exclude each other: got both, expected one");
  }
  if (seen & KEY_SCAN) item->scene = PROBLEM_SCENE_SCAN;
  if ((keys_of(item->op) & KEY_COUT) && !(seen & KEY_COUT)) item->c_out = item->c_in;
  if (!(keys_of(item->op) & KEY_WEIGHTS)) return LAT_STATUS_OK;
  if (item->peer == PROBLEM_PEER_NAIVE && item->type != LAT_DTYPE_F32) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: peer=naive takes float32 features: got '%s', expected f32",
                    name_of(type_names, (int32_t)item->type));
  }
  if (item->peer == PROBLEM_PEER_NAIVE && item->grad) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: peer=naive has no gradient: got grad, expected none");
  }
  problem_weights dense = dense_weights(item->type);
  if (!(seen & KEY_WEIGHTS)) item->weights = dense;
  if (!problem_has_packed_weights(item) && item->weights != dense && item->op != PROBLEM_LINEAR) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "problem: dense weights of %s must have the features' type: got '%s', expected %s, int8 or int4",
                    ops[item->op].name, name_of(weights_names, (int32_t)item->weights),
                    name_of(type_names, (int32_t)item->type));
  }
  return LAT_STATUS_OK;
}

lat_status problem_parse(const char *text, problem *out) {
  char copy[PROBLEM_TEXT_BYTES];
  size_t n = text ? strlen(text) : 0;
  if (n == 0 || n >= sizeof copy) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad length: got %zu bytes, expected 1 to %d", n,
                    PROBLEM_TEXT_BYTES - 1);
  }
  memcpy(copy, text, n + 1);
  char *rest = strchr(copy, ':');
  if (rest) *rest++ = '\0';
  problem_op op = PROBLEM_CONV3D;
  lat_status status = find_op(copy, &op);
  if (status) return status;
  problem item = defaults_of(op);
  uint32_t seen = 0;
  while (rest && *rest) {
    char *pair = rest;
    rest = strchr(pair, ',');
    if (rest) *rest++ = '\0';
    char *value = strchr(pair, '=');
    if (!value) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad part: got '%.80s', expected key=value", pair);
    }
    *value++ = '\0';
    const key_rule *key = NULL;
    status = find_key(pair, op, &key);
    if (!status && (seen & key->bit)) {
      status =
          lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: key given twice: got '%s' again, expected it once", pair);
    }
    if (!status) status = parse_value(key, value, &item);
    if (status) return status;
    seen |= key->bit;
  }
  status = settle(&item, seen);
  if (!status) *out = item;
  return status;
}

// --- printer --------------------------------------------------------------------------------------------------------

static bool same_triple(lat_triple a, lat_triple b) {
  return a.x == b.x && a.y == b.y && a.z == b.z;
}

static bool same_value(const key_rule *key, const problem *a, const problem *b) {
  const char *left = (const char *)a + key->offset, *right = (const char *)b + key->offset;
  switch (key->kind) {
  case KIND_COUNT:
  case KIND_SEED:
    return memcmp(left, right, sizeof(int64_t)) == 0;
  case KIND_SMALL:
  case KIND_NAME:
    return memcmp(left, right, sizeof(int32_t)) == 0;
  case KIND_REAL:
    return memcmp(left, right, sizeof(double)) == 0;
  case KIND_TRIPLE:
    return same_triple(*(const lat_triple *)(const void *)left, *(const lat_triple *)(const void *)right);
  case KIND_PATH:
    return strcmp(left, right) == 0;
  }
  return false;
}

bool problem_equal(const problem *a, const problem *b) {
  if (a->op != b->op) return false;
  for (int i = 0; i < N_KEYS; i++) {
    if (!same_value(&keys[i], a, b)) return false;
  }
  return true;
}

static void print_count(int64_t count, char *text, size_t bytes) {
  int64_t unit = count && count % 1000000 == 0 ? 1000000 : count && count % 1000 == 0 ? 1000 : 1;
  snprintf(text, bytes, "%" PRId64 "%s", count / unit, unit == 1000000 ? "M" : unit == 1000 ? "k" : "");
}

/// The shortest decimal that reads back as the same double.
static void print_real(double value, char *text, size_t bytes) {
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, bytes, "%.*g", digits, value);
    if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value)) return;
  }
}

static void print_triple(lat_triple value, char *text, size_t bytes) {
  if (same_triple(value, lat_triple_all(value.x))) {
    snprintf(text, bytes, "%d", value.x);
  } else {
    snprintf(text, bytes, "%dx%dx%d", value.x, value.y, value.z);
  }
}

static void print_value(const key_rule *key, const problem *item, char *text, size_t bytes) {
  const void *field = (const char *)item + key->offset;
  switch (key->kind) {
  case KIND_COUNT: // channels are written out: "64" and "1024" stand beside each other in tables
    if (key->bit == KEY_N) {
      print_count(*(const int64_t *)field, text, bytes);
    } else {
      snprintf(text, bytes, "%" PRId64, *(const int64_t *)field);
    }
    break;
  case KIND_SMALL:
    snprintf(text, bytes, "%d", *(const int32_t *)field);
    break;
  case KIND_SEED:
    snprintf(text, bytes, "%" PRIu64, *(const uint64_t *)field);
    break;
  case KIND_REAL:
    print_real(*(const double *)field, text, bytes);
    break;
  case KIND_TRIPLE:
    print_triple(*(const lat_triple *)field, text, bytes);
    break;
  case KIND_NAME:
    snprintf(text, bytes, "%s", name_of(names_of(key, item->op), *(const int32_t *)field));
    break;
  case KIND_PATH:
    snprintf(text, bytes, "%s", (const char *)field);
    break;
  }
}

/// Whether the canonical string of `item` has this key.
static bool is_printed(const key_rule *key, const problem *item, const problem *usual) {
  if (!(keys_of(item->op) & key->bit)) return false;
  if (key->bit == KEY_SCENE) return item->scene != PROBLEM_SCENE_SCAN;
  if (key->bit == KEY_SCAN) return item->scene == PROBLEM_SCENE_SCAN;
  if (ops[item->op].printed & key->bit) return true;
  return !same_value(key, item, usual);
}

const char *problem_print(const problem *item, char *buffer) {
  problem usual = defaults_of(item->op);
  usual.weights = dense_weights(item->type);
  int used = snprintf(buffer, PROBLEM_TEXT_BYTES, "%s", ops[item->op].name);
  char separator = ':';
  for (int i = 0; i < N_KEYS; i++) {
    if (!is_printed(&keys[i], item, &usual)) continue;
    char value[PROBLEM_PATH_BYTES];
    print_value(&keys[i], item, value, sizeof value);
    used += snprintf(buffer + used, (size_t)(PROBLEM_TEXT_BYTES - used), "%c%s=%s", separator, keys[i].name, value);
    separator = ',';
  }
  return buffer;
}

// --- facts ----------------------------------------------------------------------------------------------------------

const char *problem_op_name(problem_op op) {
  return ops[op].name;
}

const char *problem_mode_name(const problem *item) {
  return name_of(ops[item->op].modes, item->mode);
}

const char *problem_type_name(lat_dtype type) {
  return name_of(type_names, (int32_t)type);
}

const char *problem_weights_name(problem_weights weights) {
  return name_of(weights_names, (int32_t)weights);
}

const char *problem_scene_name(problem_scene scene) {
  return scene == PROBLEM_SCENE_SCAN ? "scan" : name_of(scene_names, (int32_t)scene);
}

bool problem_has_kernel(const problem *item) {
  return (ops[item->op].keys & KEY_KERNEL) != 0;
}

bool problem_has_packed_weights(const problem *item) {
  return item->weights == PROBLEM_WEIGHTS_INT8 || item->weights == PROBLEM_WEIGHTS_INT4;
}

bool problem_has_points(const problem *item) {
  return item->op == PROBLEM_VOXELIZE || item->op == PROBLEM_DEVOXELIZE;
}
