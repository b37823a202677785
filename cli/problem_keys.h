/// The tables behind problem strings: operators, keys, names of values. Parser and printer walk the same tables, so that
/// what is printed can be read. Included by problem*.c alone.
#ifndef LATTICE_PROBLEM_KEYS_H
#define LATTICE_PROBLEM_KEYS_H

#include "problem.h"

/// A value that is written as a word. Tables end with a NULL name.
typedef struct named_value {
  const char *name;
  int32_t value;
} named_value;

/// Bits of the keys.
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
  KEY_GRAD = 1 << 22,
  KEY_GROUPS = 1 << 23,
  KEY_ORDER = 1 << 24,
  KEY_SWEEPS = 1 << 25,
  KEY_NAME = 1 << 26,
  KEY_FUSION = 1 << 27,
  KEY_ACTS = 1 << 28
} key_bit;

/// What an operator takes.
typedef struct op_rule {
  const char *name;
  uint32_t keys;            ///< besides KEYS_COMMON
  uint32_t printed;         ///< keys that the canonical string always has, besides the scene
  const named_value *modes; ///< NULL: none
  int32_t mode;             ///< default mode
  int32_t kernel, stride;   ///< default geometry
} op_rule;

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

/// A key and the field of `problem` it stands for.
typedef struct key_rule {
  const char *name;
  key_bit bit;
  key_kind kind;
  size_t offset;    ///< of the field in problem
  double low, high; ///< inclusive range of numbers (reals: low excluded unless it is 0 and the key is radius)
  const named_value *names;
} key_rule;

/// The keys in the order of the canonical string.
extern const key_rule problem_keys[];
extern const int problem_n_keys;

/// The rule of an operator.
const op_rule *problem_rule(problem_op op);

/// Keys that the operator takes, as bits.
uint32_t problem_key_bits(problem_op op);

/// The words of a key: the operator's own for `mode`. NULL for keys of other kinds.
const named_value *problem_key_names(const key_rule *key, problem_op op);

/// The word of a value, "" when it has none. `names` may be NULL.
const char *problem_name_of(const named_value *names, int32_t value);

/// Dense weights of the features' type.
problem_weights problem_dense_weights(lat_dtype type);

/// The problem of an operator without keys.
problem problem_defaults(problem_op op);

#endif
