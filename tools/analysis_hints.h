/// Tells clang's analyzer, which looks at one file at a time, that lat_fail returns the status it is given. Included in
/// front of every analysed file by .ci/run; no part of any build.
#include <lattice/status.h>
#define lat_fail(status, ...) ((void)(lat_fail)(status, __VA_ARGS__), (status))
