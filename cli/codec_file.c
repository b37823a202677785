/// Finds the network that coded a file.
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "codec_file.h"

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
