/// \file version.h
/// Version of the headers (macros) and of the loaded library (functions).
#ifndef LATTICE_VERSION_H
#define LATTICE_VERSION_H

#include <lattice/status.h>

/// Version of these headers. `VERSION` at the project's root is the source; a test compares the two.
#define LAT_VERSION_MAJOR 0
#define LAT_VERSION_MINOR 1
#define LAT_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/// Version of the library that is loaded, e.g. "0.1.0". Static storage.
LAT_API const char *lat_version(void);

#ifdef __cplusplus
}
#endif
#endif
