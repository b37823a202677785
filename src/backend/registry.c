// Which devices there are. The CPU is always here; further ones are modules that this file will load.

#include "backend/backend.h"
#include "core/context_internal.h"

const lat__backend *lat__backend_of(const lat_context *context) {
  return context->backend;
}
