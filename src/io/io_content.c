/// Opening files and reading them in pieces.
#include "io/io_content.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "io/io_file.h"

static const char op_read[] = "cloud_read";

/// Fills `buffer` with `*n_bytes` bytes from `at` on. A file that shrinks meanwhile gives fewer.
static lat_status read_at(const char *op, const char *path, int fd, int64_t at, uint8_t *buffer, int64_t *n_bytes) {
  const size_t largest_read = (size_t)1 << 30;
  size_t size = (size_t)*n_bytes, used = 0;
  while (used < size) {
    size_t wanted = size - used < largest_read ? size - used : largest_read;
    ssize_t got = pread(fd, buffer + used, wanted, (off_t)(at + (int64_t)used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot read: %s", op, lat__io_path(path).text,
                      lat__io_reason(errno).text);
    }
    if (got == 0) break;
    used += (size_t)got;
  }
  *n_bytes = (int64_t)used;
  return LAT_STATUS_OK;
}

static lat_status became_shorter(const char *op, const char *path, int64_t at) {
  return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: byte %lld: the file became shorter while it was read", op,
                  lat__io_path(path).text, (long long)at);
}

lat_status lat__io_file_open(lat_context *context, const char *op, const char *path, lat__io_file *file,
                             lat__io_content *content) {
  lat_status status = LAT_STATUS_OK;
  struct stat facts;
  // O_NONBLOCK: opening a pipe that nobody writes to must not hang before it can be refused.
  file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd < 0 || fstat(file->fd, &facts) != 0) {
    status = lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot open: %s", op, lat__io_path(path).text,
                      lat__io_reason(errno).text);
    goto done;
  }
  if (!S_ISREG(facts.st_mode)) {
    status = lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot read: got %s, expected a regular file", op,
                      lat__io_path(path).text, S_ISDIR(facts.st_mode) ? "a directory" : "a device, pipe or socket");
    goto done;
  }
  int64_t n_bytes = (int64_t)facts.st_size, n_wanted = lat__min_i64(n_bytes, LAT__IO_HEAD_BYTES);
  file->n_loaded = n_wanted;
  LAT_TRY(lat__io_bytes_new(context, n_wanted + 1, &file->head), done);
  LAT_TRY(read_at(op, path, file->fd, 0, lat_array_data(file->head), &file->n_loaded), done);
  if (file->n_loaded < n_wanted) n_bytes = file->n_loaded;
  *content = (lat__io_content){.path = path, .bytes = lat_array_data(file->head), .n_bytes = n_bytes, .file = file};
done:
  return status;
}

void lat__io_file_close(lat__io_file *file) {
  lat_array_release(file->head);
  if (file->fd >= 0) close(file->fd);
  *file = (lat__io_file)LAT__IO_FILE_INIT;
}

/// True when the bytes before `end` are in memory.
static bool is_loaded(const lat__io_content *content, int64_t end) {
  return !content->file || end <= content->file->n_loaded;
}

lat_status lat__io_content_load(lat_context *context, const lat__io_content *content, lat_array **bytes,
                                lat__io_content *whole) {
  lat_status status = LAT_STATUS_OK;
  lat_array *loaded = NULL;
  int64_t n_bytes = content->n_bytes;
  *whole = *content;
  if (is_loaded(content, n_bytes)) return LAT_STATUS_OK;
  LAT_TRY(lat__io_bytes_new(context, n_bytes + 1, &loaded), done);
  LAT_TRY(read_at(op_read, content->path, content->file->fd, 0, lat_array_data(loaded), &n_bytes), done);
  if (n_bytes < content->n_bytes) {
    status = became_shorter(op_read, content->path, n_bytes);
    goto done;
  }
  *whole = (lat__io_content){.path = content->path, .bytes = lat_array_data(loaded), .n_bytes = n_bytes};
  *bytes = loaded;
  loaded = NULL;
done:
  lat_array_release(loaded);
  return status;
}

lat_status lat__io_window_open(lat_context *context, const lat__io_content *content, lat__io_window *window) {
  *window = (lat__io_window){.content = content};
  if (is_loaded(content, content->n_bytes)) return LAT_STATUS_OK;
  return lat__io_bytes_new(context, LAT__IO_WINDOW_BYTES, &window->storage);
}

lat_status lat__io_window_get(lat__io_window *window, int64_t at, int64_t n, const uint8_t **bytes) {
  const lat__io_content *content = window->content;
  if (is_loaded(content, at + n)) {
    *bytes = content->bytes + at;
    return LAT_STATUS_OK;
  }
  uint8_t *storage = lat_array_data(window->storage);
  if (at < window->at || at + n > window->at + window->n) {
    window->at = at;
    window->n = lat__min_i64(LAT__IO_WINDOW_BYTES, content->n_bytes - at);
    lat_status status = read_at(op_read, content->path, content->file->fd, at, storage, &window->n);
    if (!status && window->n < n) status = became_shorter(op_read, content->path, at + window->n);
    if (status) window->n = 0;
    if (status) return status;
  }
  *bytes = storage + (at - window->at);
  return LAT_STATUS_OK;
}

void lat__io_window_close(lat__io_window *window) {
  lat_array_release(window->storage);
  window->storage = NULL;
}
