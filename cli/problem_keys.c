/// Problem strings: the tables of operators, keys and words. A new key is a bit in problem_keys.h, a line here and a
/// field of `problem`.
#include "problem_keys.h"

#include "simulate_street.h"

// --- names ----------------------------------------------------------------------------------------------------------

static const named_value type_names[] = {
    {"f32", LAT_DTYPE_F32}, {"f16", LAT_DTYPE_F16}, {"bf16", LAT_DTYPE_BF16}, {NULL, 0}};
static const named_value weights_names[] = {{"f32", PROBLEM_WEIGHTS_F32},   {"f16", PROBLEM_WEIGHTS_F16},
                                            {"bf16", PROBLEM_WEIGHTS_BF16}, {"int8", PROBLEM_WEIGHTS_INT8},
                                            {"int4", PROBLEM_WEIGHTS_INT4}, {NULL, 0}};
static const named_value acts_names[] = {{"float", PROBLEM_ACTS_FLOAT}, {"int8", PROBLEM_ACTS_INT8}, {NULL, 0}};
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
static const named_value transpose_modes[] = {{"own", PROBLEM_TRANSPOSE_OWN},
                                              {"generative", PROBLEM_TRANSPOSE_GENERATIVE},
                                              {"target", PROBLEM_TRANSPOSE_TARGET},
                                              {"inverse", PROBLEM_TRANSPOSE_INVERSE},
                                              {NULL, 0}};
/// Networks with one sparse input, which lies in any grid.
static const named_value network_names[] = {{"minkunet14", 0},       {"minkunet18a", 1},      {"minkunet34c", 2},
                                            {"sparse_resunet42", 3}, {"sparse_resnet21d", 4}, {NULL, 0}};
static const named_value fusion_names[] = {{"on", PROBLEM_FUSION_ON}, {"off", PROBLEM_FUSION_OFF}, {NULL, 0}};
static const named_value order_names[] = {{"scene", PROBLEM_ORDER_SCENE}, {"lex", PROBLEM_ORDER_LEX}, {NULL, 0}};
static const named_value relation_modes[] = {
    {"forward", LAT_RELATION_FORWARD}, {"subm", LAT_RELATION_SUBMANIFOLD}, {"target", LAT_RELATION_TARGET}, {NULL, 0}};
static const named_value pool_modes[] = {
    {"sum", LAT_POOL_SUM}, {"max", LAT_POOL_MAX}, {"avg", LAT_POOL_AVG}, {NULL, 0}};
static const named_value gelu_modes[] = {
    {"none", LAT_GELU_NONE}, {"tanh", LAT_GELU_TANH}, {"fast", LAT_GELU_FAST}, {NULL, 0}};
static const named_value activation_modes[] = {{"sigmoid", LAT_ACTIVATION_SIGMOID},
                                               {"silu", LAT_ACTIVATION_SILU},
                                               {"tanh", LAT_ACTIVATION_TANH},
                                               {"leaky_relu", LAT_ACTIVATION_LEAKY_RELU},
                                               {"softplus", LAT_ACTIVATION_SOFTPLUS},
                                               {"exp", LAT_ACTIVATION_EXP},
                                               {NULL, 0}};
static const named_value batch_norm_modes[] = {
    {"own", PROBLEM_STATISTICS_OWN}, {"given", PROBLEM_STATISTICS_GIVEN}, {NULL, 0}};
static const named_value join_modes[] = {{"inner", LAT_JOIN_INNER},
                                         {"left", LAT_JOIN_LEFT},
                                         {"right", LAT_JOIN_RIGHT},
                                         {"outer", LAT_JOIN_OUTER},
                                         {NULL, 0}};
static const named_value voxelize_modes[] = {{"mean", LAT_VOXEL_MEAN}, {"sum", LAT_VOXEL_SUM}, {NULL, 0}};
static const named_value devoxelize_modes[] = {
    {"linear", LAT_INTERPOLATION_LINEAR}, {"nearest", LAT_INTERPOLATION_NEAREST}, {NULL, 0}};

const char *problem_name_of(const named_value *names, int32_t value) {
  for (; names && names->name; names++) {
    if (names->value == value) return names->name;
  }
  return "";
}

// --- operators and keys ---------------------------------------------------------------------------------------------

#define KEYS_COMMON                                                                                                    \
  (KEY_SCENE | KEY_SCAN | KEY_SWEEPS | KEY_VOXEL | KEY_DENSITY | KEY_N | KEY_ORDER | KEY_BATCH | KEY_SEED |            \
   KEY_LEVEL | KEY_THREADS)
#define KEYS_WEIGHTED (KEY_CIN | KEY_COUT | KEY_TYPE | KEY_WEIGHTS | KEY_GRAD)
#define KEYS_FEATURE (KEY_CIN | KEY_TYPE)
#define KEYS_GEOMETRY (KEY_KERNEL | KEY_STRIDE | KEY_PADDING | KEY_DILATION | KEY_SUPPORT)

static const op_rule ops[PROBLEM_N_OPS] = {
    [PROBLEM_CONV3D] = {"conv3d", KEYS_WEIGHTED | KEY_ACTS | KEYS_GEOMETRY | KEY_GROUPS | KEY_MODE | KEY_PEER,
                        KEY_CIN | KEY_COUT | KEY_KERNEL | KEY_STRIDE | KEY_TYPE, conv_modes, LAT_RELATION_FORWARD, 3,
                        1},
    [PROBLEM_SUBM_CONV3D] = {"subm_conv3d",
                             KEYS_WEIGHTED | KEY_ACTS | KEY_KERNEL | KEY_DILATION | KEY_GROUPS | KEY_PEER,
                             KEY_CIN | KEY_COUT | KEY_KERNEL | KEY_TYPE, NULL, 0, 3, 1},
    [PROBLEM_CONV_TRANSPOSE3D] = {"conv_transpose3d", KEYS_WEIGHTED | KEY_KERNEL | KEY_STRIDE | KEY_GROUPS | KEY_MODE,
                                  KEY_CIN | KEY_COUT | KEY_KERNEL | KEY_STRIDE | KEY_MODE | KEY_TYPE, transpose_modes,
                                  PROBLEM_TRANSPOSE_TARGET, 2, 2},
    [PROBLEM_LINEAR] = {"linear", KEYS_WEIGHTED | KEY_ACTS, KEY_CIN | KEY_COUT | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_POOL3D] = {"pool3d", KEYS_FEATURE | KEYS_GEOMETRY | KEY_MODE,
                        KEY_CIN | KEY_KERNEL | KEY_STRIDE | KEY_MODE | KEY_TYPE, pool_modes, LAT_POOL_SUM, 2, 2},
    [PROBLEM_GLOBAL_POOL] = {"global_pool", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, pool_modes,
                             LAT_POOL_SUM, 1, 1},
    [PROBLEM_RELU] = {"relu", KEYS_FEATURE, KEY_CIN | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_GELU] = {"gelu", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, gelu_modes, LAT_GELU_NONE, 1, 1},
    [PROBLEM_ACTIVATION] = {"activation", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_MODE | KEY_TYPE, activation_modes,
                            LAT_ACTIVATION_SILU, 1, 1},
    [PROBLEM_BATCH_NORM] = {"batch_norm", KEYS_FEATURE | KEY_MODE, KEY_CIN | KEY_TYPE, batch_norm_modes,
                            PROBLEM_STATISTICS_OWN, 1, 1},
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
    [PROBLEM_NETWORK] = {"network", KEY_NAME | KEY_TYPE | KEY_FUSION, KEY_NAME | KEY_TYPE, NULL, 0, 1, 1},
    [PROBLEM_RADIUS] = {"radius", KEY_RADIUS | KEY_NEIGHBORS, KEY_RADIUS, NULL, 0, 1, 1},
    [PROBLEM_KNN] = {"knn", KEY_NEIGHBORS, KEY_NEIGHBORS, NULL, 0, 1, 1},
};

#define FIELD(member) offsetof(problem, member)

const key_rule problem_keys[] = {
    {"name", KEY_NAME, KIND_NAME, FIELD(network), 0, 0, network_names},
    {"cin", KEY_CIN, KIND_COUNT, FIELD(c_in), 1, 65536, NULL},
    {"cout", KEY_COUT, KIND_COUNT, FIELD(c_out), 1, 65536, NULL},
    {"groups", KEY_GROUPS, KIND_SMALL, FIELD(groups), 1, 65536, NULL},
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
    {"acts", KEY_ACTS, KIND_NAME, FIELD(acts), 0, 0, acts_names},
    {"fusion", KEY_FUSION, KIND_NAME, FIELD(fusion), 0, 0, fusion_names},
    {"grad", KEY_GRAD, KIND_NAME, FIELD(grad), 0, 0, grad_names},
    {"scene", KEY_SCENE, KIND_NAME, FIELD(scene), 0, 0, scene_names},
    {"scan", KEY_SCAN, KIND_PATH, FIELD(scan), 0, 0, NULL},
    {"sweeps", KEY_SWEEPS, KIND_SMALL, FIELD(sweeps), 1, STREET_MOST_SWEEPS, NULL},
    {"voxel", KEY_VOXEL, KIND_REAL, FIELD(voxel), 1e-9, 1e9, NULL},
    {"density", KEY_DENSITY, KIND_REAL, FIELD(density), 1e-9, 1, NULL},
    {"n", KEY_N, KIND_COUNT, FIELD(n), 0, INT32_MAX, NULL},
    {"order", KEY_ORDER, KIND_NAME, FIELD(order), 0, 0, order_names},
    {"batch", KEY_BATCH, KIND_SMALL, FIELD(batch), 1, 65536, NULL},
    {"seed", KEY_SEED, KIND_SEED, FIELD(seed), 0, 0, NULL},
    {"level", KEY_LEVEL, KIND_NAME, FIELD(level), 0, 0, level_names},
    {"threads", KEY_THREADS, KIND_SMALL, FIELD(threads), 0, 4096, NULL},
    {"peer", KEY_PEER, KIND_NAME, FIELD(peer), 0, 0, peer_names},
};
const int problem_n_keys = sizeof problem_keys / sizeof problem_keys[0];

// Names are stored through int32_t: the enums of the public headers and of problem.h must be as wide.
_Static_assert(sizeof(lat_dtype) == sizeof(int32_t) && sizeof(problem_scene) == sizeof(int32_t), "enums are 32-bit");

problem_weights problem_dense_weights(lat_dtype type) {
  return type == LAT_DTYPE_F16    ? PROBLEM_WEIGHTS_F16
         : type == LAT_DTYPE_BF16 ? PROBLEM_WEIGHTS_BF16
                                  : PROBLEM_WEIGHTS_F32;
}

problem problem_defaults(problem_op op) {
  const op_rule *rule = &ops[op];
  problem item = {.op = op,
                  .mode = rule->mode,
                  .n = PROBLEM_ANY_COUNT,
                  .network = 3,
                  .c_in = op == PROBLEM_NETWORK ? 4 : 64,
                  .c_out = 64,
                  .groups = 1,
                  .kernel = lat_triple_all(rule->kernel),
                  .stride = lat_triple_all(rule->stride),
                  .dilation = lat_triple_all(1),
                  .type = LAT_DTYPE_F32,
                  .weights = PROBLEM_WEIGHTS_F32,
                  .voxel = 0.05,
                  .density = 0.1,
                  .radius = 2.0,
                  .neighbors = op == PROBLEM_KNN ? 16 : 0,
                  .sweeps = 1,
                  .batch = 1};
  return item;
}

const op_rule *problem_rule(problem_op op) {
  return &ops[op];
}

uint32_t problem_key_bits(problem_op op) {
  return ops[op].keys | KEYS_COMMON;
}

const named_value *problem_key_names(const key_rule *key, problem_op op) {
  return key->bit == KEY_MODE ? ops[op].modes : key->names;
}

// --- facts ----------------------------------------------------------------------------------------------------------

const char *problem_op_name(problem_op op) {
  return ops[op].name;
}

const char *problem_mode_name(const problem *item) {
  return problem_name_of(ops[item->op].modes, item->mode);
}

const char *problem_network_name(const problem *item) {
  return problem_name_of(network_names, item->network);
}

const char *problem_type_name(lat_dtype type) {
  return problem_name_of(type_names, (int32_t)type);
}

const char *problem_weights_name(problem_weights weights) {
  return problem_name_of(weights_names, (int32_t)weights);
}

const char *problem_scene_name(problem_scene scene) {
  return scene == PROBLEM_SCENE_SCAN ? "scan" : problem_name_of(scene_names, (int32_t)scene);
}

bool problem_has_kernel(const problem *item) {
  return (ops[item->op].keys & KEY_KERNEL) != 0;
}

bool problem_is_weighted(const problem *item) {
  return (ops[item->op].keys & KEY_WEIGHTS) != 0;
}

bool problem_has_packed_weights(const problem *item) {
  return item->weights == PROBLEM_WEIGHTS_INT8 || item->weights == PROBLEM_WEIGHTS_INT4;
}

bool problem_has_points(const problem *item) {
  return item->op == PROBLEM_VOXELIZE || item->op == PROBLEM_DEVOXELIZE;
}
