// The out-of-memory harness must fail when it should: each faulty body runs in a child process whose tests must fail.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define CHILD_NOT_RUN 100

static lat_status (*child_body)(lat_context *context);
static int n_runs;

static lat_status make_array(lat_context *context, lat_array **out) {
  const int64_t shape[] = {5};
  return lat_array_full(context, LAT_DTYPE_I32, 1, shape, 3.0, out);
}

static lat_status good_body(lat_context *context) {
  lat_array *array = NULL;
  lat_status status = make_array(context, &array);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(array));
  lat_array_release(array);
  return status;
}

static lat_status leaking_body(lat_context *context) {
  lat_array *array = NULL;
  lat_status status = make_array(context, &array);
  return status;
}

static lat_status wrong_status_body(lat_context *context) {
  return good_body(context) == LAT_STATUS_OK ? LAT_STATUS_OK : LAT_STATUS_INTERNAL;
}

static lat_status swallowing_body(lat_context *context) {
  (void)!good_body(context);
  return LAT_STATUS_OK;
}

static lat_status changing_body(lat_context *context) {
  n_runs++;
  lat_test_oom_record(&n_runs, sizeof n_runs);
  return good_body(context);
}

static lat_status idle_failing_body(lat_context *context) {
  (void)context;
  return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "op: never works");
}

static void child_test(void **state) {
  (void)state;
  lat_test_oom("child", child_body);
}

// Exit status of a child process that runs the loop over `body`: 0 when its test passed.
static int run_child(lat_status (*body)(lat_context *context)) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(child_test)};
    child_body = body;
    if (freopen("/dev/null", "w", stderr) == NULL || freopen("/dev/null", "w", stdout) == NULL) _exit(CHILD_NOT_RUN);
    _exit(cmocka_run_group_tests(tests, NULL, NULL));
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_not_equal(WEXITSTATUS(status), CHILD_NOT_RUN);
  return WEXITSTATUS(status);
}

static void accepts_a_correct_body(void **state) {
  (void)state;
  assert_int_equal(run_child(good_body), 0);
}

static void finds_every_fault(void **state) {
  (void)state;
  assert_int_not_equal(run_child(leaking_body), 0);
  assert_int_not_equal(run_child(wrong_status_body), 0);
  assert_int_not_equal(run_child(swallowing_body), 0);
  assert_int_not_equal(run_child(changing_body), 0);
  assert_int_not_equal(run_child(idle_failing_body), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(accepts_a_correct_body), cmocka_unit_test(finds_every_fault)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
