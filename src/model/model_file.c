// Files of models. liblattice_io has a writer of its own kind: the two libraries share no code that is not public.
#include "model/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/compiler.h"

enum { TEMPORARY_NAME_BYTES = 64, TEMPORARY_TRIES = 1000 };

lat__shown lat__show_path(const char *path) {
  lat__shown shown;
  size_t n = strlen(path), room = sizeof shown.text - 4;
  snprintf(shown.text, sizeof shown.text, "%s%s", n > room ? "..." : "", n > room ? path + (n - room) : path);
  return shown;
}

lat__shown lat__show_text(const char *text, int64_t n_bytes) {
  enum { LONGEST = 60 };
  lat__shown shown;
  int n = n_bytes > LONGEST ? LONGEST : (int)n_bytes;
  for (int i = 0; i < n; i++) shown.text[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
  // Never half a character: bytes 10xxxxxx continue one.
  while (n_bytes > LONGEST && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
  snprintf(shown.text + n, sizeof shown.text - (size_t)n, "%s", n_bytes > LONGEST ? "..." : "");
  return shown;
}

/// Fails with the system's reason, in English whatever the locale.
static lat_status io_error(const char *op, const char *path, const char *what) {
  int number = errno;
  char reason[96];
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) {
    snprintf(reason, sizeof reason, "error %d", number);
  } else {
    snprintf(reason, sizeof reason, "%s", strerror_l(number, c_locale));
    freelocale(c_locale);
  }
  return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: %s: %s", op, lat__show_path(path).text, what, reason);
}

// --- reading --------------------------------------------------------------------------------------------------------

/// Opens a regular file; `*n_bytes` is its length. O_NONBLOCK: a pipe that nobody writes to must not hang.
static lat_status open_regular(const char *op, const char *path, int *fd, int64_t *n_bytes) {
  struct stat facts;
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*fd < 0 || fstat(*fd, &facts) != 0) return io_error(op, path, "cannot open");
  if (!S_ISREG(facts.st_mode)) {
    return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot read: got %s, expected a regular file", op,
                    lat__show_path(path).text, S_ISDIR(facts.st_mode) ? "a directory" : "a device, pipe or socket");
  }
  *n_bytes = (int64_t)facts.st_size;
  return LAT_STATUS_OK;
}

/// What a mapping needs to be undone; lives in an array of its own, since it must outlive the call.
typedef struct mapping {
  void *base;
  size_t n_bytes;
} mapping;

static void unmap(void *user) {
  lat_array *holder = user;
  mapping *held = lat_array_data(holder);
  munmap(held->base, held->n_bytes);
  lat_array_release(holder);
}

lat_status lat__file_map(lat_context *context, const char *op, const char *path, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  int fd = -1;
  lat_array *holder = NULL;
  void *base = MAP_FAILED;
  int64_t n_bytes = 0, holder_bytes = (int64_t)sizeof(mapping);
  LAT_TRY(open_regular(op, path, &fd, &n_bytes), done);
  if (n_bytes == 0) {
    status = lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, out);
    goto done;
  }
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &holder_bytes, 0.0, &holder), done);
  base = mmap(NULL, (size_t)n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (base == MAP_FAILED) {
    status = io_error(op, path, "cannot map");
    goto done;
  }
  *(mapping *)lat_array_data(holder) = (mapping){base, (size_t)n_bytes};
  lat_array_view view = lat_view_1d(base, LAT_DTYPE_U8, n_bytes);
  LAT_TRY(lat_array_wrap(context, &view, unmap, holder, out), done);
  holder = NULL;
  base = MAP_FAILED;
done:
  if (base != MAP_FAILED) munmap(base, (size_t)n_bytes);
  lat_array_release(holder);
  if (fd >= 0) close(fd);
  return status;
}

lat_status lat__file_read(lat_context *context, const char *op, const char *path, int64_t most_bytes, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  int fd = -1;
  int64_t n_bytes = 0, used = 0;
  lat_array *content = NULL;
  LAT_TRY(open_regular(op, path, &fd, &n_bytes), done);
  if (n_bytes > most_bytes) {
    status = lat_fail(LAT_STATUS_BAD_DATA, "%s: %s: file is too long: got %lld bytes, expected at most %lld", op,
                      lat__show_path(path).text, (long long)n_bytes, (long long)most_bytes);
    goto done;
  }
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, &content), done);
  while (used < n_bytes) {
    ssize_t got = read(fd, (char *)lat_array_data(content) + used, (size_t)(n_bytes - used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      status = io_error(op, path, "cannot read");
      goto done;
    }
    if (got == 0) break; // it shrank meanwhile: the rest stays zero
    used += (int64_t)got;
  }
  *out = content;
  content = NULL;
done:
  lat_array_release(content);
  if (fd >= 0) close(fd);
  return status;
}

// --- writing --------------------------------------------------------------------------------------------------------

/// Creates a file with a name of its own in the target's folder. Gives the new descriptor, or -1 and errno.
static int create_temporary(const char *path, char *temporary, size_t room) {
  const char *slash = strrchr(path, '/');
  int folder_bytes = slash ? (int)(slash - path) + 1 : 0;
  for (int number = 0; number < TEMPORARY_TRIES; number++) {
    snprintf(temporary, room, "%.*s.lattice-%ld-%d.tmp", folder_bytes, path, (long)getpid(), number);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

static int write_piece(int fd, const lat__piece *piece) {
  const unsigned char *bytes = piece->bytes;
  size_t left = piece->n_bytes;
  while (left) {
    ssize_t put = write(fd, bytes, left);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return -1;
    bytes += put;
    left -= (size_t)put;
  }
  return 0;
}

lat_status lat__file_write(lat_context *context, const char *op, const char *path, const lat__piece *pieces,
                           int64_t n_pieces) {
  lat_status status = LAT_STATUS_OK;
  lat_array *storage = NULL;
  struct stat facts;
  int fd = -1;
  int64_t room = (int64_t)strlen(path) + TEMPORARY_NAME_BYTES;
  bool replaces = stat(path, &facts) == 0;
  if (replaces && !S_ISREG(facts.st_mode)) {
    return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot write: got %s, expected a regular file or a new name", op,
                    lat__show_path(path).text, S_ISDIR(facts.st_mode) ? "a directory" : "a device, pipe or socket");
  }
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &room, 0.0, &storage), done);
  char *temporary = lat_array_data(storage);
  fd = path[0] ? create_temporary(path, temporary, (size_t)room) : (errno = ENOENT, -1);
  if (fd < 0) {
    status = io_error(op, path, "cannot create");
    goto done;
  }
  // A file that is replaced keeps its permissions. Where the system refuses, the new file's own are fine too.
  if (replaces && fchmod(fd, facts.st_mode & 07777) != 0) errno = 0;
  bool failed = false;
  for (int64_t i = 0; i < n_pieces && !failed; i++) failed = write_piece(fd, &pieces[i]) != 0;
  failed = close(fd) != 0 || failed;
  failed = failed || rename(temporary, path) != 0;
  if (failed) {
    status = io_error(op, path, "cannot write");
    unlink(temporary);
  }
done:
  lat_array_release(storage);
  return status;
}
