// Out of memory in reading, writing and saving graphs, with the n-th allocation refused for every n.
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/artifact_cases.h"
#include "support/io_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_status text_of(lat_context *context, const char *graph) {
  lat_model *model = NULL;
  lat_array *text = NULL;
  lat_status status = lat_model_parse(context, graph, (int64_t)strlen(graph), &model);
  if (status == LAT_STATUS_OK) status = lat_model_text(context, model, &text);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(text));
  lat_array_release(text);
  lat_model_release(model);
  return status;
}

static lat_status graphs(lat_context *context) {
  lat_status status = text_of(context, lat_test_graph("all"));
  if (status == LAT_STATUS_OK) status = text_of(context, lat_test_graph("version3"));
  return status;
}

static lat_status folders(lat_context *context) {
  const char *folder = lat_test_folder_path("net");
  lat_model *model = NULL, *loaded = NULL;
  lat_status status = lat_model_parse(context, lat_test_graph("int4"), (int64_t)strlen(lat_test_graph("int4")), &model);
  if (status == LAT_STATUS_OK) status = lat_test_fill_parameters(context, model, lat_triple_all(3), 32);
  if (status == LAT_STATUS_OK) status = lat_model_save(context, model, folder);
  if (status == LAT_STATUS_OK) status = lat_model_load(context, folder, NULL, &loaded);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(lat_model_get_parameter(loaded, 0).scales));
  }
  lat_model_release(loaded);
  lat_model_release(model);
  return status;
}

static void artifacts(void **state) {
  (void)state;
  char path[1200];
  lat_test_folder_make();
  lat_test_oom("graphs", graphs);
  lat_test_oom("folders", folders);
  snprintf(path, sizeof path, "%s/graph.mlir", lat_test_folder_path("net"));
  remove(path);
  snprintf(path, sizeof path, "%s/weights.safetensors", lat_test_folder_path("net"));
  remove(path);
  assert_int_equal(remove(lat_test_folder_path("net")), 0); // nothing else was left there
  lat_test_folder_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(artifacts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
