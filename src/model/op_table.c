// The table of operations: section 12.4 of the semantics as data, and what version 3 adds.
#include "model/op_table.h"

#include <stddef.h>

// --- words ----------------------------------------------------------------------------------------------------------

static const lat__enum_desc layout_words = {
    "weight_layout", {"conv3d_o_xyz_i", "linear_o_i", "embedding_n_c", "channel_c", "bias_c", NULL}, 5};
static const lat__enum_desc coord_words = {"coord", {"batch_x_y_z", NULL}, 1};
static const lat__enum_desc accumulation_words = {NULL, {"canonical_f32", NULL}, 1};
static const lat__enum_desc pool_words = {"pool_mode", {"sum", "max", "avg", NULL}, 3};
static const lat__enum_desc voxel_words = {"voxel_reduction", {"mean", "sum", "max", NULL}, 2};
static const lat__enum_desc interpolation_words = {"point_interpolation", {"linear", "nearest", NULL}, 2};
static const lat__enum_desc elementwise_words = {NULL, {"exp", "round", NULL}, 2};
static const lat__enum_desc activation_words = {
    "activation", {"relu", "sigmoid", "silu", "tanh", "leaky_relu", "gelu", "softplus", NULL}, 7};
static const lat__enum_desc gelu_words = {"gelu_approx", {"none", "tanh", "fast", "precise", NULL}, 4};
static const lat__enum_desc binary_words = {"binary_op", {"add", "sub", "mul", "maximum", "minimum", NULL}, 5};
static const lat__enum_desc join_words = {"join", {"inner", "left", "right", "outer", NULL}, 4};
static const lat__enum_desc support_words = {"support", {"floor", "reach", NULL}, 0};
static const lat__enum_desc axes_words = {"axes", {"xyz", "zyx", NULL}, 0};
static const lat__enum_desc dense_words = {"dense_layout", {"channels_last", "channels_first", NULL}, 0};
static const lat__enum_desc fold_words = {"fold", {"none", "x", "y", "z", NULL}, 0};
static const lat__enum_desc outside_words = {"outside", {"error", "drop", NULL}, 0};
static const lat__enum_desc duplicate_words = {"duplicates", {"none", "error", "first", "sum", "mean", "max", NULL}, 0};

// --- attributes -----------------------------------------------------------------------------------------------------

#define ANY LAT__RANGE_ANY
#define POSITIVE LAT__RANGE_POSITIVE
#define NOT_NEGATIVE LAT__RANGE_NOT_NEGATIVE
#define INT LAT__ATTR_KIND_INT
#define FLOAT LAT__ATTR_KIND_FLOAT
#define ENUM LAT__ATTR_KIND_ENUM
#define WORD LAT__ATTR_KIND_WORD
#define INTS LAT__ATTR_KIND_INTS

const lat__attr_desc lat__attr_table[LAT__N_ATTRS] = {
    [LAT__ATTR_STORAGE_KEY] = {"storage_key", LAT__ATTR_KIND_TEXT, ANY, NULL},
    [LAT__ATTR_LAYOUT] = {"layout", ENUM, ANY, &layout_words},
    [LAT__ATTR_PACKING] = {"packing", LAT__ATTR_KIND_PACKING, ANY, NULL},
    [LAT__ATTR_STRIDE] = {"stride", INTS, POSITIVE, NULL},
    [LAT__ATTR_COORD_ORDER] = {"coord_order", ENUM, ANY, &coord_words},
    [LAT__ATTR_FILL] = {"fill", FLOAT, ANY, NULL},
    [LAT__ATTR_KERNEL_SIZE] = {"kernel_size", INTS, POSITIVE, NULL},
    [LAT__ATTR_PADDING] = {"padding", INTS, NOT_NEGATIVE, NULL},
    [LAT__ATTR_DILATION] = {"dilation", INTS, POSITIVE, NULL},
    [LAT__ATTR_EPS] = {"eps", FLOAT, POSITIVE, NULL},
    [LAT__ATTR_ACCUMULATION] = {"accumulation", WORD, ANY, &accumulation_words},
    [LAT__ATTR_POOL_MODE] = {"mode", ENUM, ANY, &pool_words},
    [LAT__ATTR_BATCH_SIZE] = {"batch_size", INT, LAT__RANGE_FROM_MINUS_ONE, NULL},
    [LAT__ATTR_VOXEL_SIZE] = {"voxel_size", LAT__ATTR_KIND_FLOATS, POSITIVE, NULL},
    [LAT__ATTR_ORIGIN] = {"origin", LAT__ATTR_KIND_FLOATS, ANY, NULL},
    [LAT__ATTR_VOXEL_REDUCTION] = {"reduction", ENUM, ANY, &voxel_words},
    [LAT__ATTR_INTERPOLATION] = {"interpolation", ENUM, ANY, &interpolation_words},
    [LAT__ATTR_ELEMENTWISE_KIND] = {"kind", WORD, ANY, &elementwise_words},
    [LAT__ATTR_AXIS] = {"axis", INT, ANY, NULL},
    [LAT__ATTR_ACTIVATION_KIND] = {"kind", ENUM, ANY, &activation_words},
    [LAT__ATTR_APPROXIMATE] = {"approximate", ENUM, ANY, &gelu_words},
    [LAT__ATTR_ALPHA] = {"alpha", FLOAT, NOT_NEGATIVE, NULL},
    [LAT__ATTR_BETA] = {"beta", FLOAT, POSITIVE, NULL},
    [LAT__ATTR_THRESHOLD] = {"threshold", FLOAT, ANY, NULL},
    [LAT__ATTR_BINARY_OP] = {"op", ENUM, ANY, &binary_words},
    [LAT__ATTR_JOIN] = {"join", ENUM, ANY, &join_words},
    [LAT__ATTR_LHS_FILL] = {"lhs_fill", FLOAT, ANY, NULL},
    [LAT__ATTR_RHS_FILL] = {"rhs_fill", FLOAT, ANY, NULL},
    [LAT__ATTR_SUPPORT] = {"support", ENUM, ANY, &support_words},
    [LAT__ATTR_BOUNDS] = {"bounds", INTS, POSITIVE, NULL},
    [LAT__ATTR_GROUPS] = {"groups", INT, POSITIVE, NULL},
    [LAT__ATTR_AXES] = {"axes", ENUM, ANY, &axes_words},
    [LAT__ATTR_DENSE_LAYOUT] = {"layout", ENUM, ANY, &dense_words},
    [LAT__ATTR_FOLD] = {"fold", ENUM, ANY, &fold_words},
    [LAT__ATTR_OUTSIDE] = {"outside", ENUM, ANY, &outside_words},
    [LAT__ATTR_MIN_COORD] = {"min_coord", INTS, ANY, NULL},
    [LAT__ATTR_SHAPE] = {"shape", INTS, NOT_NEGATIVE, NULL},
    [LAT__ATTR_DUPLICATES] = {"duplicates", ENUM, ANY, &duplicate_words},
    [LAT__ATTR_P] = {"p", FLOAT, NOT_NEGATIVE, NULL},
    [LAT__ATTR_MOMENTUM] = {"momentum", FLOAT, NOT_NEGATIVE, NULL},
};

// --- operations -----------------------------------------------------------------------------------------------------

#define TENSOR LAT__TYPE_TENSOR
#define SPARSE LAT__TYPE_SPARSE
#define IN_TENSOR(name)                                                                                                \
  { name, TENSOR, LAT__FAMILY_CONV3D, 0 }
#define IN_SPARSE(name)                                                                                                \
  { name, SPARSE, LAT__FAMILY_CONV3D, 0 }
#define MAYBE_SPARSE(name)                                                                                             \
  { name, SPARSE, LAT__FAMILY_CONV3D, 2 }
#define WEIGHT(name, family)                                                                                           \
  { name, LAT__TYPE_WEIGHT, family, 0 }
#define MAYBE_WEIGHT(name, family)                                                                                     \
  { name, LAT__TYPE_WEIGHT, family, 2 }
#define MAYBE_WEIGHT3(name, family)                                                                                    \
  { name, LAT__TYPE_WEIGHT, family, 3 }
#define CONV_WEIGHTS WEIGHT("weight", LAT__FAMILY_CONV3D), MAYBE_WEIGHT("bias", LAT__FAMILY_BIAS)
#define NEEDS(key)                                                                                                     \
  { LAT__ATTR_##key, false, 2 }
#define NEEDS3(key)                                                                                                    \
  { LAT__ATTR_##key, false, 3 }
#define MAYBE3(key)                                                                                                    \
  { LAT__ATTR_##key, true, 3 }
#define NO_ATTRS                                                                                                       \
  { LAT__N_ATTRS, true, 2 }
#define WINDOW NEEDS(KERNEL_SIZE), NEEDS(STRIDE), NEEDS(PADDING), NEEDS(DILATION)

const lat__op_desc lat__op_table[LAT__N_OPS] = {
    [LAT__OP_WEIGHT] = {"weight",
                        2,
                        0,
                        3,
                        1,
                        false,
                        {IN_TENSOR(NULL)},
                        {NEEDS(STORAGE_KEY), NEEDS(LAYOUT), NEEDS(PACKING)},
                        {LAT__TYPE_WEIGHT}},
    [LAT__OP_SPARSE_MAKE] = {"sparse.make",
                             2,
                             3,
                             4,
                             1,
                             false,
                             {IN_TENSOR("coords"), IN_TENSOR("features"), IN_TENSOR("active")},
                             {NEEDS(STRIDE), NEEDS(COORD_ORDER), MAYBE3(AXES), MAYBE3(DUPLICATES)},
                             {SPARSE}},
    [LAT__OP_SPARSE_DECOMPOSE] =
        {"sparse.decompose", 2, 1, 1, 3, false, {IN_SPARSE("input")}, {MAYBE3(AXES)}, {TENSOR, TENSOR, TENSOR}},
    [LAT__OP_SPARSE_WITH_FEATURES] =
        {"sparse.with_features", 2, 2, 0, 1, false, {IN_SPARSE("input"), IN_TENSOR("features")}, {NO_ATTRS}, {SPARSE}},
    [LAT__OP_SPARSE_REINDEX] =
        {"sparse.reindex", 2, 2, 1, 1, false, {IN_SPARSE("input"), IN_SPARSE("target")}, {NEEDS(FILL)}, {SPARSE}},
    [LAT__OP_CONV3D] = {"conv3d",
                        2,
                        3,
                        8,
                        1,
                        false,
                        {IN_SPARSE("input"), CONV_WEIGHTS},
                        {WINDOW, NEEDS(ACCUMULATION), MAYBE3(SUPPORT), MAYBE3(BOUNDS), MAYBE3(GROUPS)},
                        {SPARSE}},
    [LAT__OP_SUBM_CONV3D] = {"subm_conv3d",
                             2,
                             3,
                             4,
                             1,
                             false,
                             {IN_SPARSE("input"), CONV_WEIGHTS},
                             {NEEDS(KERNEL_SIZE), NEEDS(DILATION), NEEDS(ACCUMULATION), MAYBE3(GROUPS)},
                             {SPARSE}},
    [LAT__OP_NORMALIZED_SUBM_CONV3D] = {"normalized_subm_conv3d",
                                        2,
                                        3,
                                        5,
                                        1,
                                        false,
                                        {IN_SPARSE("input"), CONV_WEIGHTS},
                                        {NEEDS(KERNEL_SIZE), NEEDS(DILATION), NEEDS(EPS), NEEDS(ACCUMULATION),
                                         MAYBE3(GROUPS)},
                                        {SPARSE}},
    [LAT__OP_TARGET_CONV3D] = {"target_conv3d",
                               2,
                               4,
                               7,
                               1,
                               false,
                               {IN_SPARSE("input"), IN_SPARSE("target"), CONV_WEIGHTS},
                               {WINDOW, NEEDS(ACCUMULATION), MAYBE3(SUPPORT), MAYBE3(GROUPS)},
                               {SPARSE}},
    [LAT__OP_CONV_TRANSPOSE3D] = {"conv_transpose3d",
                                  2,
                                  3,
                                  6,
                                  1,
                                  false,
                                  {IN_SPARSE("input"), CONV_WEIGHTS},
                                  {WINDOW, NEEDS(ACCUMULATION), MAYBE3(GROUPS)},
                                  {SPARSE}},
    [LAT__OP_TARGET_CONV_TRANSPOSE3D] = {"target_conv_transpose3d",
                                         2,
                                         4,
                                         6,
                                         1,
                                         false,
                                         {IN_SPARSE("input"), IN_SPARSE("target"), CONV_WEIGHTS},
                                         {WINDOW, NEEDS(ACCUMULATION), MAYBE3(GROUPS)},
                                         {SPARSE}},
    [LAT__OP_NORMALIZED_CONV_TRANSPOSE3D] = {"normalized_conv_transpose3d",
                                             2,
                                             3,
                                             7,
                                             1,
                                             false,
                                             {IN_SPARSE("input"), CONV_WEIGHTS},
                                             {WINDOW, NEEDS(EPS), NEEDS(ACCUMULATION), MAYBE3(GROUPS)},
                                             {SPARSE}},
    [LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D] = {"target_normalized_conv_transpose3d",
                                                    2,
                                                    4,
                                                    7,
                                                    1,
                                                    false,
                                                    {IN_SPARSE("input"), IN_SPARSE("target"), CONV_WEIGHTS},
                                                    {WINDOW, NEEDS(EPS), NEEDS(ACCUMULATION), MAYBE3(GROUPS)},
                                                    {SPARSE}},
    [LAT__OP_GENERATIVE_CONV_TRANSPOSE3D] = {"generative_conv_transpose3d",
                                             2,
                                             3,
                                             4,
                                             1,
                                             false,
                                             {IN_SPARSE("input"), CONV_WEIGHTS},
                                             {NEEDS(KERNEL_SIZE), NEEDS(STRIDE), NEEDS(ACCUMULATION), MAYBE3(GROUPS)},
                                             {SPARSE}},
    [LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D] = {"normalized_generative_conv_transpose3d",
                                                        2,
                                                        3,
                                                        5,
                                                        1,
                                                        false,
                                                        {IN_SPARSE("input"), CONV_WEIGHTS},
                                                        {NEEDS(KERNEL_SIZE), NEEDS(STRIDE), NEEDS(EPS),
                                                         NEEDS(ACCUMULATION), MAYBE3(GROUPS)},
                                                        {SPARSE}},
    [LAT__OP_POOL3D] = {"pool3d",
                        2,
                        1,
                        7,
                        1,
                        false,
                        {IN_SPARSE("input")},
                        {NEEDS(POOL_MODE), WINDOW, MAYBE3(SUPPORT), MAYBE3(BOUNDS)},
                        {SPARSE}},
    [LAT__OP_POOL_TRANSPOSE3D] =
        {"pool_transpose3d", 2, 2, 4, 1, false, {IN_SPARSE("input"), MAYBE_SPARSE("target")}, {WINDOW}, {SPARSE}},
    [LAT__OP_TRILINEAR_UPSAMPLE3D] =
        {"trilinear_upsample3d",
         2,
         2,
         1,
         1,
         false,
         {IN_SPARSE("input"), MAYBE_SPARSE("target")},
         {NEEDS(STRIDE)},
         {SPARSE}},
    [LAT__OP_GLOBAL_POOL] =
        {"global_pool", 2, 1, 2, 1, false, {IN_SPARSE("input")}, {NEEDS(POOL_MODE), NEEDS(BATCH_SIZE)}, {TENSOR}},
    [LAT__OP_VOXELIZE] =
        {"voxelize",
         2,
         4,
         4,
         1,
         false,
         {IN_TENSOR("points"), IN_TENSOR("features"), IN_TENSOR("batch_indices"), IN_TENSOR("active_rows")},
         {NEEDS(VOXEL_SIZE), NEEDS(ORIGIN), NEEDS(VOXEL_REDUCTION), NEEDS(STRIDE)},
         {SPARSE}},
    [LAT__OP_DEVOXELIZE] =
        {"devoxelize",
         2,
         4,
         3,
         1,
         false,
         {IN_TENSOR("points"), IN_SPARSE("voxels"), IN_TENSOR("batch_indices"), IN_TENSOR("point_active_rows")},
         {NEEDS(VOXEL_SIZE), NEEDS(ORIGIN), NEEDS(INTERPOLATION)},
         {TENSOR}},
    [LAT__OP_LINEAR] =
        {"linear",
         2,
         3,
         0,
         1,
         false,
         {IN_TENSOR("input"), WEIGHT("weight", LAT__FAMILY_LINEAR), MAYBE_WEIGHT("bias", LAT__FAMILY_BIAS)},
         {NO_ATTRS},
         {TENSOR}},
    [LAT__OP_EMBEDDING_LOOKUP] =
        {"embedding_lookup",
         2,
         2,
         0,
         1,
         false,
         {IN_TENSOR("input"), WEIGHT("weight", LAT__FAMILY_EMBEDDING)},
         {NO_ATTRS},
         {TENSOR}},
    [LAT__OP_ELEMENTWISE] =
        {"elementwise", 2, 1, 1, 1, false, {IN_TENSOR("input")}, {NEEDS(ELEMENTWISE_KIND)}, {TENSOR}},
    [LAT__OP_SOFTMAX] = {"softmax", 2, 1, 1, 1, false, {IN_TENSOR("input")}, {NEEDS(AXIS)}, {TENSOR}},
    [LAT__OP_ACTIVATION] =
        {"activation",
         2,
         1,
         5,
         1,
         false,
         {IN_TENSOR("input")},
         {NEEDS(ACTIVATION_KIND), NEEDS(APPROXIMATE), NEEDS(ALPHA), NEEDS(BETA), NEEDS(THRESHOLD)},
         {TENSOR}},
    [LAT__OP_BATCH_NORM] =
        {"batch_norm",
         2,
         5,
         2,
         1,
         false,
         {IN_TENSOR("input"), WEIGHT("scale", LAT__FAMILY_CHANNEL), WEIGHT("bias", LAT__FAMILY_BIAS),
          MAYBE_WEIGHT3("mean", LAT__FAMILY_CHANNEL), MAYBE_WEIGHT3("var", LAT__FAMILY_CHANNEL)},
         {NEEDS(EPS), MAYBE3(MOMENTUM)},
         {TENSOR}},
    [LAT__OP_LAYER_NORM] =
        {"layer_norm",
         2,
         3,
         1,
         1,
         false,
         {IN_TENSOR("input"), WEIGHT("scale", LAT__FAMILY_CHANNEL), WEIGHT("bias", LAT__FAMILY_BIAS)},
         {NEEDS(EPS)},
         {TENSOR}},
    [LAT__OP_RMS_NORM] =
        {"rms_norm",
         2,
         2,
         1,
         1,
         false,
         {IN_TENSOR("input"), WEIGHT("scale", LAT__FAMILY_CHANNEL)},
         {NEEDS(EPS)},
         {TENSOR}},
    [LAT__OP_SPARSE_BINARY] =
        {"sparse.binary",
         2,
         2,
         4,
         1,
         false,
         {IN_SPARSE("lhs"), IN_SPARSE("rhs")},
         {NEEDS(BINARY_OP), NEEDS(JOIN), NEEDS(LHS_FILL), NEEDS(RHS_FILL)},
         {SPARSE}},
    [LAT__OP_SPARSE_CAT] =
        {"sparse.cat", 2, 2, 1, 1, true, {IN_SPARSE("lhs"), IN_SPARSE("rhs")}, {NEEDS(JOIN)}, {SPARSE}},
    [LAT__OP_INSTANCE_NORM] =
        {"instance_norm",
         3,
         3,
         1,
         1,
         false,
         {IN_SPARSE("input"), MAYBE_WEIGHT("scale", LAT__FAMILY_CHANNEL), MAYBE_WEIGHT("bias", LAT__FAMILY_BIAS)},
         {NEEDS3(EPS)},
         {SPARSE}},
    [LAT__OP_GROUP_NORM] =
        {"group_norm",
         3,
         3,
         2,
         1,
         false,
         {IN_SPARSE("input"), MAYBE_WEIGHT("scale", LAT__FAMILY_CHANNEL), MAYBE_WEIGHT("bias", LAT__FAMILY_BIAS)},
         {NEEDS3(EPS), NEEDS3(GROUPS)},
         {SPARSE}},
    [LAT__OP_TO_DENSE] =
        {"to_dense",
         3,
         1,
         7,
         1,
         false,
         {IN_SPARSE("input")},
         {NEEDS3(MIN_COORD), NEEDS3(SHAPE), NEEDS3(BATCH_SIZE), NEEDS3(DENSE_LAYOUT), NEEDS3(FOLD), NEEDS3(OUTSIDE),
          MAYBE3(AXES)},
         {TENSOR}},
    [LAT__OP_CONCAT_REDUCE] = {"concat_reduce", 3, 1, 1, 1, true, {IN_SPARSE("input")}, {NEEDS3(DUPLICATES)}, {SPARSE}},
    [LAT__OP_DROPOUT] = {"dropout", 3, 1, 1, 1, false, {IN_TENSOR("input")}, {NEEDS3(P)}, {TENSOR}},
};

int32_t lat__op_least_operands(const lat__op_desc *desc, int32_t version) {
  int32_t least = 0;
  while (least < desc->n_operands && !(desc->operands[least].optional && desc->operands[least].optional <= version)) {
    least++;
  }
  return least;
}

// --- names ----------------------------------------------------------------------------------------------------------

static const struct {
  const char *name;
  lat_dtype dtype;
} elems[LAT__N_ELEMS] = {
    [LAT__ELEM_F32] = {"f32", LAT_DTYPE_F32},
    [LAT__ELEM_F16] = {"f16", LAT_DTYPE_F16},
    [LAT__ELEM_BF16] = {"bf16", LAT_DTYPE_BF16},
    [LAT__ELEM_F64] = {"f64", LAT_DTYPE_F64},
    [LAT__ELEM_I32] = {"i32", LAT_DTYPE_I32},
    [LAT__ELEM_I64] = {"i64", LAT_DTYPE_I64},
    [LAT__ELEM_I16] = {"i16", LAT_DTYPE_I16},
    [LAT__ELEM_I8] = {"i8", 0},
    [LAT__ELEM_I4] = {"i4", 0},
    [LAT__ELEM_I1] = {"i1", 0},
    [LAT__ELEM_UI8] = {"ui8", LAT_DTYPE_U8},
    [LAT__ELEM_UI32] = {"ui32", LAT_DTYPE_U32},
};

const char *lat__elem_name(lat__elem elem) {
  return elems[elem].name;
}

lat_dtype lat__elem_dtype(lat__elem elem) {
  return elems[elem].dtype;
}

lat__elem lat__dtype_elem(lat_dtype dtype) {
  for (int elem = 0; elem < LAT__N_ELEMS; elem++) {
    if (elems[elem].dtype == dtype) return (lat__elem)elem;
  }
  return LAT__ELEM_F32;
}

const char *lat__family_name(lat__family family) {
  static const char *const names[LAT__N_FAMILIES] = {"conv3d", "linear", "embedding", "channel", "bias"};
  return names[family];
}

const char *lat__type_kind_name(lat__type_kind kind) {
  static const char *const names[] = {"a tensor", "a sparse tensor", "a weight"};
  return names[kind];
}
