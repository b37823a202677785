/// What operations a graph may have, as one table: names, operands, attributes with their kinds and words, results.
///
/// The parser, the verifier, the writer and the executor are driven by it. Operations up to LAT__OP_SPARSE_CAT are those
/// of artifact version 2, the rest belong to version 3 (docs/artifact.md).
#ifndef LATTICE_MODEL_OP_TABLE_H
#define LATTICE_MODEL_OP_TABLE_H

#include <stdbool.h>

#include <lattice/array.h>

typedef enum lat__op_kind {
  LAT__OP_WEIGHT,
  LAT__OP_SPARSE_MAKE,
  LAT__OP_SPARSE_DECOMPOSE,
  LAT__OP_SPARSE_WITH_FEATURES,
  LAT__OP_SPARSE_REINDEX,
  LAT__OP_CONV3D,
  LAT__OP_SUBM_CONV3D,
  LAT__OP_NORMALIZED_SUBM_CONV3D,
  LAT__OP_TARGET_CONV3D,
  LAT__OP_CONV_TRANSPOSE3D,
  LAT__OP_TARGET_CONV_TRANSPOSE3D,
  LAT__OP_NORMALIZED_CONV_TRANSPOSE3D,
  LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D,
  LAT__OP_GENERATIVE_CONV_TRANSPOSE3D,
  LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D,
  LAT__OP_POOL3D,
  LAT__OP_POOL_TRANSPOSE3D,
  LAT__OP_TRILINEAR_UPSAMPLE3D,
  LAT__OP_GLOBAL_POOL,
  LAT__OP_VOXELIZE,
  LAT__OP_DEVOXELIZE,
  LAT__OP_LINEAR,
  LAT__OP_EMBEDDING_LOOKUP,
  LAT__OP_ELEMENTWISE,
  LAT__OP_SOFTMAX,
  LAT__OP_ACTIVATION,
  LAT__OP_BATCH_NORM,
  LAT__OP_LAYER_NORM,
  LAT__OP_RMS_NORM,
  LAT__OP_SPARSE_BINARY,
  LAT__OP_SPARSE_CAT,
  LAT__OP_INSTANCE_NORM,
  LAT__OP_GROUP_NORM,
  LAT__OP_TO_DENSE,
  LAT__OP_CONCAT_REDUCE,
  LAT__OP_DROPOUT, ///< the identity unless a program trains
  LAT__N_OPS
} lat__op_kind;

typedef enum lat__type_kind { LAT__TYPE_TENSOR, LAT__TYPE_SPARSE, LAT__TYPE_WEIGHT } lat__type_kind;

/// Element types as the text of a graph spells them. Not every one can be stored in an array (lat__elem_dtype).
typedef enum lat__elem {
  LAT__ELEM_F32,
  LAT__ELEM_F16,
  LAT__ELEM_BF16,
  LAT__ELEM_F64,
  LAT__ELEM_I32,
  LAT__ELEM_I64,
  LAT__ELEM_I16,
  LAT__ELEM_I8,
  LAT__ELEM_I4,
  LAT__ELEM_I1,
  LAT__ELEM_UI8,
  LAT__ELEM_UI32,
  LAT__N_ELEMS
} lat__elem;

/// What a weight is for; each family has one layout of its dense array.
typedef enum lat__family {
  LAT__FAMILY_CONV3D,    ///< (C_out, Kx, Ky, Kz, C_in)
  LAT__FAMILY_LINEAR,    ///< (C_out, C_in)
  LAT__FAMILY_EMBEDDING, ///< (V, C)
  LAT__FAMILY_CHANNEL,   ///< (C,): scales and statistics of norms
  LAT__FAMILY_BIAS,      ///< (C,)
  LAT__N_FAMILIES
} lat__family;

/// Type of a value.
typedef struct lat__type {
  lat__type_kind kind;
  lat__elem elem;             ///< of features for sparse values
  int32_t rank;               ///< tensor
  int64_t dims[LAT_MAX_RANK]; ///< tensor: lengths, -1 where the text says `?`
  int64_t channels;           ///< sparse: -1 where not known; the text of a graph does not say it
  lat__family family;         ///< weight
} lat__type;

typedef enum lat__attr_kind {
  LAT__ATTR_KIND_INT,    ///< i64[0]
  LAT__ATTR_KIND_FLOAT,  ///< f64[0], rounded to float32
  LAT__ATTR_KIND_TEXT,   ///< text
  LAT__ATTR_KIND_WORD,   ///< text, one of an enum's words; choice
  LAT__ATTR_KIND_ENUM,   ///< `#lattice.<mnemonic><word>`; choice
  LAT__ATTR_KIND_INTS,   ///< i64, three
  LAT__ATTR_KIND_FLOATS, ///< f64, three
  LAT__ATTR_KIND_PACKING ///< packing
} lat__attr_kind;

/// Attributes of all operations. Two that share a name in the text but not their meaning are two.
typedef enum lat__attr_key {
  LAT__ATTR_STORAGE_KEY,
  LAT__ATTR_LAYOUT, ///< choice: a lat__family
  LAT__ATTR_PACKING,
  LAT__ATTR_STRIDE,
  LAT__ATTR_COORD_ORDER,
  LAT__ATTR_FILL,
  LAT__ATTR_KERNEL_SIZE,
  LAT__ATTR_PADDING,
  LAT__ATTR_DILATION,
  LAT__ATTR_EPS,
  LAT__ATTR_ACCUMULATION,
  LAT__ATTR_POOL_MODE, ///< choice: a lat_pool_mode
  LAT__ATTR_BATCH_SIZE,
  LAT__ATTR_VOXEL_SIZE,
  LAT__ATTR_ORIGIN,
  LAT__ATTR_VOXEL_REDUCTION,  ///< choice: 0 mean, 1 sum, 2 max (version 3) = lat_voxel_reduction
  LAT__ATTR_INTERPOLATION,    ///< choice: a lat_interpolation
  LAT__ATTR_ELEMENTWISE_KIND, ///< choice: 0 exp, 1 round
  LAT__ATTR_AXIS,             ///< -1 or 1
  LAT__ATTR_ACTIVATION_KIND,  ///< choice: a lat__activation
  LAT__ATTR_APPROXIMATE,      ///< choice: a lat_gelu_approx; 3: "precise", which is 0
  LAT__ATTR_ALPHA,            ///< leaky_relu
  LAT__ATTR_BETA,             ///< softplus
  LAT__ATTR_THRESHOLD,        ///< softplus
  LAT__ATTR_BINARY_OP,        ///< choice: a lat_binary
  LAT__ATTR_JOIN,             ///< choice: lat_join - 1
  LAT__ATTR_LHS_FILL,
  LAT__ATTR_RHS_FILL,
  LAT__ATTR_SUPPORT, ///< choice: a lat_support
  LAT__ATTR_BOUNDS,
  LAT__ATTR_GROUPS,
  LAT__ATTR_AXES,         ///< choice: 0 xyz, 1 zyx
  LAT__ATTR_DENSE_LAYOUT, ///< choice: a lat_dense_layout
  LAT__ATTR_FOLD,         ///< choice: a lat_dense_fold
  LAT__ATTR_OUTSIDE,      ///< choice: a lat_dense_outside
  LAT__ATTR_MIN_COORD,
  LAT__ATTR_SHAPE,
  LAT__ATTR_DUPLICATES, ///< choice: 0 none, 1 error, 2 first, 3 sum, 4 mean, 5 max
  LAT__ATTR_P,          ///< dropout
  LAT__ATTR_MOMENTUM,   ///< of running statistics; absent: 0.1
  LAT__N_ATTRS
} lat__attr_key;

/// Words of LAT__ATTR_ACTIVATION_KIND.
typedef enum lat__activation {
  LAT__ACTIVATION_RELU,
  LAT__ACTIVATION_SIGMOID,
  LAT__ACTIVATION_SILU,
  LAT__ACTIVATION_TANH,
  LAT__ACTIVATION_LEAKY_RELU,
  LAT__ACTIVATION_GELU, ///< with LAT__ATTR_APPROXIMATE
  LAT__ACTIVATION_SOFTPLUS
} lat__activation;

/// How a weight is stored.
typedef struct lat__packing {
  int32_t bits;         ///< 0: dense; 4; 8
  int32_t group_size;   ///< packed
  lat__elem scale_elem; ///< packed: f16 or f32
} lat__packing;

typedef struct lat__attr {
  bool present;
  int32_t choice;
  union {
    int64_t i64[3];
    double f64[3];
    const char *text;
    lat__packing packing;
  } u;
} lat__attr;

// --- the table ------------------------------------------------------------------------------------------------------

/// Words of an enum attribute; `choice` is the index.
typedef struct lat__enum_desc {
  const char *mnemonic;
  const char *words[8]; ///< ends with NULL
  int32_t n_version2;   ///< how many of them version 2 knows
} lat__enum_desc;

typedef enum lat__range {
  LAT__RANGE_ANY,
  LAT__RANGE_POSITIVE,
  LAT__RANGE_NOT_NEGATIVE,
  LAT__RANGE_FROM_MINUS_ONE
} lat__range;

typedef struct lat__attr_desc {
  const char *name;
  lat__attr_kind kind;
  lat__range range;
  const lat__enum_desc *words; ///< of ENUM and WORD
} lat__attr_desc;

typedef struct lat__operand_desc {
  const char *name;
  lat__type_kind kind;
  lat__family family; ///< of a weight
  int32_t optional;   ///< version from which it may be left out, with all that follow; 0: never
} lat__operand_desc;

typedef struct lat__op_attr {
  lat__attr_key key;
  bool optional;
  int32_t version; ///< 2, or 3: a version 2 graph cannot say it
} lat__op_attr;

enum { LAT__MAX_OPERANDS = 6, LAT__MAX_OP_ATTRS = 12, LAT__MAX_RESULTS = 3 };

// In the order in which a row reads, not in that of the least padding.
typedef struct lat__op_desc { // NOLINT(clang-analyzer-optin.performance.Padding)
  const char *name;           ///< without "lattice."
  int32_t version;
  int32_t n_operands, n_attrs, n_results;
  bool repeats; ///< version 3: the last operand may come any number of times
  lat__operand_desc operands[LAT__MAX_OPERANDS];
  lat__op_attr attrs[LAT__MAX_OP_ATTRS];
  lat__type_kind results[LAT__MAX_RESULTS];
} lat__op_desc;

extern const lat__op_desc lat__op_table[LAT__N_OPS];
extern const lat__attr_desc lat__attr_table[LAT__N_ATTRS];

/// How many operands an operation has at least, in a graph of `version`.
int32_t lat__op_least_operands(const lat__op_desc *desc, int32_t version);

/// Names as the text of a graph spells them.
const char *lat__elem_name(lat__elem elem);
const char *lat__family_name(lat__family family);
const char *lat__type_kind_name(lat__type_kind kind);

/// The dtype of an array with such elements; 0 where arrays have none (i1, i4, i8).
lat_dtype lat__elem_dtype(lat__elem elem);

/// The element type of a dtype.
lat__elem lat__dtype_elem(lat_dtype dtype);

#endif
