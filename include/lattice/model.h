/// \file model.h
/// Models: a graph of operations with named parameters.
///
/// A model is built by the modules of nn.h or read from an artifact directory. It holds what the network is (operations,
/// their attributes, inputs, outputs) and its parameters; how it runs is decided when it is compiled.
#ifndef LATTICE_MODEL_H
#define LATTICE_MODEL_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted model.
typedef struct lat_model lat_model;

/// Adds a reference and returns `model` (NULL is passed through).
LAT_API lat_model *lat_model_retain(const lat_model *model);

/// Drops a reference; NULL is accepted.
LAT_API void lat_model_release(lat_model *model);

#ifdef __cplusplus
}
#endif
#endif
