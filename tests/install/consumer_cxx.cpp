// Uses the installed libraries from C++17: handles in unique_ptr, an error text, and a call into lattice_io.
#include <lattice/lattice.h>

#include <cstdio>
#include <cstring>
#include <memory>

int main() {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.seed = 7;
  lat_context *raw_context = nullptr;
  if (lat_context_create(&opts, &raw_context) != LAT_STATUS_OK) return 1;
  std::unique_ptr<lat_context, decltype(&lat_context_destroy)> context(raw_context, lat_context_destroy);

  const int64_t shape[] = {2, 3};
  lat_array *raw_array = nullptr;
  if (lat_array_full(context.get(), LAT_DTYPE_F32, 2, shape, 1.5, &raw_array) != LAT_STATUS_OK) return 1;
  std::unique_ptr<lat_array, decltype(&lat_array_release)> array(raw_array, lat_array_release);
  const bool filled =
      lat_array_count(array.get()) == 6 && static_cast<const float *>(lat_array_data(array.get()))[5] == 1.5F;

  lat_cloud *cloud = nullptr;
  const lat_status status = lat_cloud_read(context.get(), "/nonexistent.ply", nullptr, &cloud);
  const bool refused = status == LAT_STATUS_IO_ERROR && cloud == nullptr && std::strlen(lat_last_error()) > 0;

  std::printf("consumer_cxx: lattice %s %s\n", lat_version(), filled && refused ? "works" : "FAILED");
  return filled && refused ? 0 : 1;
}
