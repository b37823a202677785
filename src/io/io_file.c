/// Texts for messages, and whole files out. Writing goes to a temporary file in the target's folder and ends with a rename, so that nobody ever
/// sees half a file.
#include "io/io_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/compiler.h"

enum { WRITE_BUFFER_BYTES = 1 << 16, TEMPORARY_NAME_BYTES = 64, TEMPORARY_TRIES = 1000 };

lat__io_text lat__io_path(const char *path) {
  lat__io_text shown;
  size_t n = strlen(path), room = sizeof shown.text - 4;
  if (n <= room) {
    snprintf(shown.text, sizeof shown.text, "%s", path);
  } else {
    snprintf(shown.text, sizeof shown.text, "...%s", path + (n - room));
  }
  return shown;
}

lat__io_text lat__io_excerpt(const void *bytes, int64_t n_bytes) {
  enum { LONGEST = 40 };
  lat__io_text shown;
  const unsigned char *source = bytes;
  int n = n_bytes > LONGEST ? LONGEST : (int)n_bytes;
  for (int i = 0; i < n; i++) shown.text[i] = (char)(source[i] >= 0x20 && source[i] < 0x7f ? source[i] : '?');
  snprintf(shown.text + n, sizeof shown.text - (size_t)n, "%s", n_bytes > LONGEST ? "..." : "");
  return shown;
}

lat__io_text lat__io_reason(int error_number) {
  lat__io_text shown;
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) {
    snprintf(shown.text, sizeof shown.text, "error %d", error_number);
    return shown;
  }
  snprintf(shown.text, sizeof shown.text, "%s", strerror_l(error_number, c_locale));
  freelocale(c_locale);
  return shown;
}

bool lat__io_parse_count(const char *text, int64_t n_bytes, int64_t *count) {
  int64_t value = 0;
  for (int64_t i = 0; i < n_bytes; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    if (!lat__mul_i64(value, 10, &value) || !lat__add_i64(value, text[i] - '0', &value)) return false;
  }
  *count = value;
  return n_bytes > 0;
}

lat_status lat__io_copy_opts(const char *op, const void *opts, size_t known_bytes, void *target) {
  if (!opts) return LAT_STATUS_OK;
  size_t given_bytes;
  memcpy(&given_bytes, opts, sizeof given_bytes);
  if (given_bytes < sizeof given_bytes || given_bytes > 4096) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: opts.struct_bytes: got %zu, expected the size of the struct", op,
                    given_bytes);
  }
  const unsigned char *bytes = opts;
  for (size_t i = known_bytes; i < given_bytes; i++) {
    if (bytes[i]) {
      return lat_fail(LAT_STATUS_UNSUPPORTED,
                      "%s: opts has fields that this version does not know: byte %zu is set, "
                      "expected zeros from byte %zu on",
                      op, i, known_bytes);
    }
  }
  memcpy(target, opts, given_bytes < known_bytes ? given_bytes : known_bytes);
  return LAT_STATUS_OK;
}

lat_status lat__io_bytes_new(lat_context *context, int64_t n_bytes, lat_array **out) {
  return lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, out);
}

size_t lat__io_encode_value(const lat_array_view *view, int64_t index, uint8_t out[8]) {
  bool half = view->dtype == LAT_DTYPE_F16 || view->dtype == LAT_DTYPE_BF16;
  size_t n_bytes = half ? 4 : lat_dtype_bytes(view->dtype);
  uint64_t bits = 0;
  if (half) {
    uint16_t stored = ((const uint16_t *)view->data)[index];
    float value = view->dtype == LAT_DTYPE_F16 ? lat_f16_to_f32(stored) : lat_bf16_to_f32(stored);
    uint32_t low;
    memcpy(&low, &value, sizeof low);
    bits = low;
  } else if (n_bytes == 8) {
    memcpy(&bits, (const uint64_t *)view->data + index, sizeof bits);
  } else if (n_bytes == 4) {
    bits = ((const uint32_t *)view->data)[index];
  } else if (n_bytes == 2) {
    bits = ((const uint16_t *)view->data)[index];
  } else {
    bits = ((const uint8_t *)view->data)[index];
  }
  for (size_t i = 0; i < n_bytes; i++) out[i] = (uint8_t)(bits >> (8 * i));
  return n_bytes;
}

// --- writing --------------------------------------------------------------------------------------------------------

static lat_status write_all(const lat__io_writer *writer, const uint8_t *bytes, size_t n_bytes) {
  while (n_bytes) {
    ssize_t put = write(writer->fd, bytes, n_bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot write: %s", writer->op, lat__io_path(writer->path).text,
                      lat__io_reason(errno).text);
    }
    bytes += put;
    n_bytes -= (size_t)put;
  }
  return LAT_STATUS_OK;
}

/// Refuses targets that a rename would damage: a device node must not be replaced by a file.
static lat_status check_target(const char *op, const char *path, const struct stat *facts) {
  if (S_ISREG(facts->st_mode)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot write: got %s, expected a regular file or a new name", op,
                  lat__io_path(path).text, S_ISDIR(facts->st_mode) ? "a directory" : "a device, pipe or socket");
}

/// Creates a file with a name of its own in the target's folder. Gives the new descriptor, or -1 and errno.
static int create_temporary(const char *path, char *temporary_path, size_t room) {
  const char *slash = strrchr(path, '/');
  int folder_bytes = slash ? (int)(slash - path) + 1 : 0;
  for (int number = 0; number < TEMPORARY_TRIES; number++) {
    snprintf(temporary_path, room, "%.*s.lattice-%ld-%d.tmp", folder_bytes, path, (long)getpid(), number);
    int fd = open(temporary_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

lat_status lat__io_writer_open(lat_context *context, const char *op, const char *path, lat__io_writer *writer) {
  lat_status status = LAT_STATUS_OK;
  struct stat facts;
  bool replaces = stat(path, &facts) == 0;
  size_t path_room = strlen(path) + TEMPORARY_NAME_BYTES;
  *writer = (lat__io_writer)LAT__IO_WRITER_INIT;
  writer->op = op;
  writer->path = path;
  if (replaces) LAT_TRY(check_target(op, path, &facts), done);
  LAT_TRY(lat__io_bytes_new(context, (int64_t)(WRITE_BUFFER_BYTES + path_room), &writer->storage), done);
  writer->buffer = lat_array_data(writer->storage);
  writer->temporary_path = (char *)writer->buffer + WRITE_BUFFER_BYTES;
  writer->fd = path[0] ? create_temporary(path, writer->temporary_path, path_room) : (errno = ENOENT, -1);
  if (writer->fd < 0) {
    status = lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot create: %s", op, lat__io_path(path).text,
                      lat__io_reason(errno).text);
    goto done;
  }
  // A file that is replaced keeps its permissions. Where the system refuses, the new file's own are fine too.
  if (replaces && fchmod(writer->fd, facts.st_mode & 07777) != 0) errno = 0;
done:
  if (status) lat_array_release(writer->storage);
  if (status) writer->storage = NULL;
  return status;
}

lat_status lat__io_writer_put(lat__io_writer *writer, const void *bytes, size_t n_bytes) {
  lat_status status = LAT_STATUS_OK;
  if (n_bytes > WRITE_BUFFER_BYTES - writer->used) {
    LAT_TRY(write_all(writer, writer->buffer, writer->used), done);
    writer->used = 0;
  }
  if (n_bytes > WRITE_BUFFER_BYTES) return write_all(writer, bytes, n_bytes);
  if (n_bytes) memcpy(writer->buffer + writer->used, bytes, n_bytes);
  writer->used += n_bytes;
done:
  return status;
}

lat_status lat__io_writer_close(lat__io_writer *writer, lat_status status) {
  if (writer->fd < 0) return status;
  if (!status) status = write_all(writer, writer->buffer, writer->used);
  int close_failed = close(writer->fd) != 0;
  writer->fd = -1;
  if (!status && (close_failed || rename(writer->temporary_path, writer->path) != 0)) {
    status = lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot write: %s", writer->op, lat__io_path(writer->path).text,
                      lat__io_reason(errno).text);
  }
  if (status) unlink(writer->temporary_path);
  lat_array_release(writer->storage);
  writer->storage = NULL;
  return status;
}
