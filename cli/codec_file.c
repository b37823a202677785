/// Files of coded clouds: read, written without harm to a file that was there, and the network found that coded one.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec_file.h"

lat_status cli_file_read(lat_context *context, const char *path, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  *out = NULL;
  FILE *file = fopen(path, "rb");
  if (!file) return lat_fail(LAT_STATUS_IO_ERROR, "cannot open '%s': %s", path, strerror(errno));
  if (fseek(file, 0, SEEK_END) != 0) goto failed;
  int64_t n = ftell(file);
  if (n < 0 || fseek(file, 0, SEEK_SET) != 0) goto failed;
  CLI_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &n, 0.0, out), done);
  if (n && fread(lat_array_data(*out), 1, (size_t)n, file) != (size_t)n) goto failed;
  goto done;
failed:
  status = lat_fail(LAT_STATUS_IO_ERROR, "cannot read '%s': %s", path, strerror(errno));
done:
  fclose(file);
  if (status) {
    lat_array_release(*out);
    *out = NULL;
  }
  return status;
}

lat_status cli_file_write(const char *path, const lat_array *bytes) {
  char partial[4096];
  int length = snprintf(partial, sizeof partial, "%s.part", path);
  if (length < 0 || length >= (int)sizeof partial)
    return lat_fail(LAT_STATUS_IO_ERROR, "path too long: '%.64s...'", path);
  FILE *file = fopen(partial, "wb");
  if (!file) return lat_fail(LAT_STATUS_IO_ERROR, "cannot write '%s': %s", partial, strerror(errno));
  size_t n = (size_t)lat_array_count(bytes);
  int failed = fwrite(lat_array_as_view(bytes).data, 1, n, file) != n;
  failed |= fclose(file) != 0;
  if (!failed && rename(partial, path) == 0) return LAT_STATUS_OK;
  lat_status status = lat_fail(LAT_STATUS_IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
  remove(partial);
  return status;
}

/// Opens the codec in `parent`/`name` when it is there and has that digest.
static int try_folder(lat_context *context, const char *parent, const char *name, uint64_t network, char *folder,
                      size_t folder_bytes, lat_codec **out) {
  char graph[4096];
  int length = snprintf(folder, folder_bytes, "%s/%s", parent, name);
  if (length < 0 || (size_t)length >= folder_bytes) return 0;
  length = snprintf(graph, sizeof graph, "%s/trunk/graph.mlir", folder);
  if (length < 0 || length >= (int)sizeof graph) return 0;
  FILE *file = fopen(graph, "rb");
  if (!file) return 0;
  fclose(file);
  if (lat_codec_open(context, folder, out) != LAT_STATUS_OK) return 0;
  if (lat_codec_network(*out) == network) return 1;
  lat_codec_release(*out);
  *out = NULL;
  return 0;
}

/// Looks at the folders in `parent`.
static int search(lat_context *context, const char *parent, uint64_t network, char *folder, size_t folder_bytes,
                  lat_codec **out) {
  DIR *entries = opendir(parent);
  if (!entries) return 0;
  int found = 0;
  struct dirent *entry;
  while (!found && (entry = readdir(entries)) != NULL) {
    if (strcmp(entry->d_name, "..") != 0)
      found = try_folder(context, parent, entry->d_name, network, folder, folder_bytes, out);
  }
  closedir(entries);
  return found;
}

lat_status cli_codec_find(lat_context *context, const char *file, uint64_t network, char *folder, size_t folder_bytes,
                          lat_codec **out) {
  char parent[4096] = ".";
  const char *slash = strrchr(file, '/');
  if (slash) {
    int length = snprintf(parent, sizeof parent, "%.*s", slash == file ? 1 : (int)(slash - file), file);
    if (length < 0 || length >= (int)sizeof parent)
      return lat_fail(LAT_STATUS_IO_ERROR, "path too long: '%.64s...'", file);
  }
  *out = NULL;
  if (search(context, parent, network, folder, folder_bytes, out)) return LAT_STATUS_OK;
  if (strcmp(parent, ".") != 0 && search(context, ".", network, folder, folder_bytes, out)) return LAT_STATUS_OK;
  return lat_fail(
      LAT_STATUS_IO_ERROR,
      "no folder in '%s' or here holds the network %016llx that '%s' was coded with: name it with --model DIR", parent,
      (unsigned long long)network, file);
}
