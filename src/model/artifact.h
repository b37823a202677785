/// Graphs as text and the rules they obey: what loading, saving and compiling share.
#ifndef LATTICE_MODEL_ARTIFACT_H
#define LATTICE_MODEL_ARTIFACT_H

#include "model/graph.h"

/// Names and digests of the two versions. The digest of version 2 is the original's; that of version 3 is the SHA-256 of
/// the table in docs/artifact.md, which a test computes again.
#define LAT__GRAPH_FILE "graph.mlir"
#define LAT__WEIGHT_FILE "weights.safetensors"
#define LAT__DIGEST_2 "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad"
#define LAT__DIGEST_3 "5bdbc16b5ecd7456a5c1b4c54c0880e0ebd506e6e7ac29c5981f15ff9e2c14f8"

/// Builds a model from a graph's text: parsed and verified, parameters without arrays. `label` begins every message.
/// Errors: BAD_DATA with line and column, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__model_parse(lat_context *context, const char *label, const char *bytes, int64_t n_bytes,
                                        lat_model **out);

/// Checks every rule that does not need the parameters' arrays: operands, attributes and types of each operation, inputs,
/// outputs. Errors: BAD_DATA, which names the place in the text, or the operation's number in a graph without text.
LAT_CHECKED lat_status lat__model_verify(lat_context *context, const char *label, const lat_model *model);

/// Checks the arrays of parameters against what the graph says of them. Errors: BAD_DATA.
LAT_CHECKED lat_status lat__model_verify_parameters(const char *label, const lat_model *model);

/// The lowest artifact version that can say the graph: 2 or 3.
int32_t lat__model_version(const lat_model *model);

/// The graph as text: `*out` is a uint8 array of its bytes.
LAT_CHECKED lat_status lat__model_print(lat_context *context, const lat_model *model, lat_array **out);

#endif
