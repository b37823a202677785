/// Networks of problem strings: built from the library's own list, with one sparse input `x` and one output `y`.
#include "problem_network.h"

#define TRY(expr, label)                                                                                               \
  do {                                                                                                                 \
    status = (expr);                                                                                                   \
    if (status) goto label;                                                                                            \
  } while (0)

static const char input_name[] = "x", output_name[] = "y";

lat_status problem_network_create(lat_context *context, const problem *item, problem_network *out) {
  problem_network self = {NULL, NULL, NULL};
  lat_zoo_opts zoo = LAT_ZOO_OPTS_INIT;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  lat_status status;
  zoo.in_channels = item->c_in;
  opts.no_fusion = item->fusion == PROBLEM_FUSION_OFF;
  if (item->type != LAT_DTYPE_F32) opts.dtype = item->type;
  TRY(lat_zoo_build(context, problem_network_name(item), &zoo, &self.model), done);
  TRY(lat_model_compile(context, self.model, &opts, &self.program), done);
  TRY(lat_session_create(context, self.program, &self.session), done);
done:
  if (status) problem_network_release(&self);
  *out = self;
  return status;
}

lat_status problem_network_run(const problem_network *self, const lat_tensor *x, lat_tensor **out) {
  const lat_binding input = {input_name, x, NULL};
  lat_results *results = NULL;
  lat_status status = lat_session_run(self->session, &input, 1, NULL, &results);
  *out = status ? NULL : lat_tensor_retain(lat_results_tensor(results, output_name));
  if (!status && !*out) {
    status = lat_fail(LAT_STATUS_INTERNAL, "network: no output '%s': got none, expected one", output_name);
  }
  lat_results_release(results);
  return status;
}

lat_status problem_network_explain(lat_context *context, const problem_network *self, const lat_tensor *x,
                                   double *products, double *map_ms) {
  const lat_binding input = {input_name, x, NULL};
  lat_explanation *explanation = NULL;
  *products = *map_ms = 0.0;
  lat_status status = lat_program_explain(context, self->program, &input, 1, NULL, &explanation);
  for (int64_t i = 0; i < lat_explanation_count(explanation); i++) {
    *products += lat_explanation_layer(explanation, i)->products;
    *map_ms += lat_explanation_layer(explanation, i)->map_ms;
  }
  lat_explanation_release(explanation);
  return status;
}

void problem_network_release(problem_network *self) {
  lat_session_destroy(self->session);
  lat_program_release(self->program);
  lat_model_release(self->model);
  *self = (problem_network){NULL, NULL, NULL};
}
