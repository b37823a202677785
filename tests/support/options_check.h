/// Checks that every function with an options struct reads it by its size.
#ifndef LAT_TEST_OPTIONS_CHECK_H
#define LAT_TEST_OPTIONS_CHECK_H

#include <stddef.h>

#include <lattice/status.h>

/// A call that is good with options that are all zero but for their size; what it makes is released.
typedef struct options_call {
  const char *op; ///< what its error texts begin with
  size_t opts_bytes;
  lat_status (*call)(const void *opts);
} options_call;

/// A wrong `struct_bytes` is refused.
void options_check_wrong_sizes(const options_call *calls, size_t n_calls);

/// A larger struct is taken when what the library does not know of it is zero, and refused when it is not.
void options_check_unknown_fields(const options_call *calls, size_t n_calls);

/// A struct that holds nothing but its size means the defaults.
void options_check_small_structs(const options_call *calls, size_t n_calls);

#endif
