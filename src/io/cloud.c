/// The point cloud object: positions and named fields, reference-counted. Its own storage is an array too, so that every
/// byte of this library is counted by the context.
#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "core/compiler.h"
#include "io/cloud_internal.h"
#include "io/io_file.h"

typedef struct cloud_field {
  lat_array *name; ///< zero-terminated
  lat_array *values;
} cloud_field;

struct lat_cloud {
  atomic_int refcount;
  lat_array *storage; ///< holds this struct
  lat_array *positions;
  const char *source; ///< static text
  int64_t n_points;
  int32_t n_fields;
  int32_t field_room;
  lat__las_grid las_grid;
  lat_array *field_storage; ///< `field_room` entries of cloud_field
  cloud_field *fields;
};

enum { FIRST_FIELD_ROOM = 8, MOST_FIELDS = 1 << 20 };

lat_status lat__cloud_share(lat_context *context, lat_array *positions, const char *source, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *storage = NULL;
  LAT_TRY(lat__io_bytes_new(context, sizeof(lat_cloud), &storage), done);
  lat_cloud *cloud = lat_array_data(storage);
  atomic_init(&cloud->refcount, 1);
  cloud->storage = storage;
  cloud->positions = lat_array_retain(positions);
  cloud->source = source;
  cloud->n_points = lat_array_as_view(positions).shape[0];
  *out = cloud;
done:
  return status;
}

lat__las_grid *lat__cloud_las_grid(const lat_cloud *cloud) {
  return &((lat_cloud *)cloud)->las_grid;
}

/// Makes room for one more field.
static lat_status grow_fields(lat_context *context, lat_cloud *cloud) {
  lat_status status = LAT_STATUS_OK;
  lat_array *storage = NULL;
  int32_t room = cloud->field_room ? cloud->field_room * 2 : FIRST_FIELD_ROOM;
  if (room > MOST_FIELDS) {
    return lat_fail(LAT_STATUS_OVERFLOW, "cloud_add_field: too many fields: got more than %d", MOST_FIELDS);
  }
  LAT_TRY(lat__io_bytes_new(context, (int64_t)sizeof(cloud_field) * room, &storage), done);
  if (cloud->n_fields) {
    memcpy(lat_array_data(storage), cloud->fields, sizeof(cloud_field) * (size_t)cloud->n_fields);
  }
  lat_array_release(cloud->field_storage);
  cloud->field_storage = storage;
  cloud->fields = lat_array_data(storage);
  cloud->field_room = room;
done:
  return status;
}

lat_status lat__cloud_append(lat_context *context, lat_cloud *cloud, const char *name, size_t name_bytes,
                             lat_array *values) {
  lat_status status = LAT_STATUS_OK;
  lat_array *name_copy = NULL;
  assert(lat_array_count(values) == cloud->n_points);
  if (cloud->n_fields == cloud->field_room) LAT_TRY(grow_fields(context, cloud), done);
  LAT_TRY(lat__io_bytes_new(context, (int64_t)name_bytes + 1, &name_copy), done);
  memcpy(lat_array_data(name_copy), name, name_bytes);
  cloud->fields[cloud->n_fields].name = name_copy;
  cloud->fields[cloud->n_fields].values = lat_array_retain(values);
  cloud->n_fields++;
done:
  return status;
}

/// Null pointers and the shape (N, 3) of positions; everything else lat_array_create checks.
static lat_status check_positions(const lat_context *context, const lat_array_view *positions) {
  if (!context || !positions) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_create: %s must not be NULL",
                    context ? "positions" : "context");
  }
  if (positions->rank != 2 || positions->shape[1] != 3) {
    return lat_fail(
        LAT_STATUS_INVALID_SHAPE, "cloud_create: positions must have shape (N, 3): got rank %d and a last axis of %lld",
        (int)positions->rank,
        positions->rank >= 1 && positions->rank <= LAT_MAX_RANK ? (long long)positions->shape[positions->rank - 1]
                                                                : 0LL);
  }
  if (positions->dtype != LAT_DTYPE_F32 && positions->dtype != LAT_DTYPE_F64) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "cloud_create: positions must be float32 or float64: got %s",
                    lat_dtype_name(positions->dtype));
  }
  return LAT_STATUS_OK;
}

lat_status lat_cloud_create(lat_context *context, const lat_array_view *positions, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *copy = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_create: out must not be NULL");
  *out = NULL;
  LAT_TRY(check_positions(context, positions), done);
  LAT_TRY(lat_array_create(context, positions, &copy), done);
  LAT_TRY(lat__cloud_share(context, copy, "memory", out), done);
done:
  lat_array_release(copy);
  return status;
}

static lat_status check_field_name(const lat_cloud *cloud, const char *name) {
  size_t n = strlen(name);
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)name[i];
    if (c <= 0x20 || c == 0x7f) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "cloud_add_field: name must not have white space or control characters: got '%s'",
                      lat__io_excerpt(name, (int64_t)n).text);
    }
  }
  if (n == 0 || n > 255) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_add_field: name must have 1 to 255 bytes: got %zu", n);
  }
  if (n == 1 && strchr("xyz", name[0])) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_add_field: '%s' names a position axis, expected another name",
                    name);
  }
  if (lat_cloud_find_field(cloud, name) >= 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_add_field: the cloud already has a field '%s'",
                    lat__io_excerpt(name, (int64_t)n).text);
  }
  return LAT_STATUS_OK;
}

lat_status lat_cloud_add_field(lat_context *context, lat_cloud *cloud, const char *name, const lat_array_view *values) {
  lat_status status = LAT_STATUS_OK;
  lat_array *copy = NULL;
  if (!context || !cloud || !name || !values) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "cloud_add_field: %s must not be NULL",
                    !context ? "context"
                    : !cloud ? "cloud"
                    : !name  ? "name"
                             : "values");
  }
  LAT_TRY(check_field_name(cloud, name), done);
  if (values->rank != 1 || values->shape[0] != cloud->n_points) {
    status =
        lat_fail(LAT_STATUS_INVALID_SHAPE,
                 "cloud_add_field: values must have shape (N,): got rank %d and %lld values, expected %lld",
                 (int)values->rank, values->rank >= 1 ? (long long)values->shape[0] : 0LL, (long long)cloud->n_points);
    goto done;
  }
  LAT_TRY(lat_array_create(context, values, &copy), done);
  LAT_TRY(lat__cloud_append(context, cloud, name, strlen(name), copy), done);
done:
  lat_array_release(copy);
  return status;
}

int64_t lat_cloud_count(const lat_cloud *cloud) {
  return cloud->n_points;
}

lat_array_view lat_cloud_positions(const lat_cloud *cloud) {
  return lat_array_as_view(cloud->positions);
}

const char *lat_cloud_source(const lat_cloud *cloud) {
  return cloud->source;
}

int32_t lat_cloud_n_fields(const lat_cloud *cloud) {
  return cloud->n_fields;
}

const char *lat_cloud_field_name(const lat_cloud *cloud, int32_t index) {
  if (index < 0 || index >= cloud->n_fields) return NULL;
  return lat_array_data(cloud->fields[index].name);
}

lat_array_view lat_cloud_field(const lat_cloud *cloud, int32_t index) {
  if (index < 0 || index >= cloud->n_fields) {
    return (lat_array_view){.data = NULL, .dtype = LAT_DTYPE_F32, .device = LAT_DEVICE_CPU, .rank = 0};
  }
  return lat_array_as_view(cloud->fields[index].values);
}

int32_t lat_cloud_find_field(const lat_cloud *cloud, const char *name) {
  for (int32_t i = 0; name && i < cloud->n_fields; i++) {
    if (strcmp(lat_array_data(cloud->fields[i].name), name) == 0) return i;
  }
  return -1;
}

lat_cloud *lat_cloud_retain(const lat_cloud *cloud) {
  lat_cloud *shared = (lat_cloud *)cloud;
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_cloud_release(lat_cloud *cloud) {
  if (!cloud || atomic_fetch_sub_explicit(&cloud->refcount, 1, memory_order_acq_rel) != 1) return;
  for (int32_t i = 0; i < cloud->n_fields; i++) {
    lat_array_release(cloud->fields[i].name);
    lat_array_release(cloud->fields[i].values);
  }
  lat_array_release(cloud->field_storage);
  lat_array_release(cloud->positions);
  lat_array_release(cloud->storage); // last: the struct lives in it
}
