// Problem strings: what is read, what is refused with which text, what is printed, and that the two directions agree.
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "problem.h"

static problem parse(const char *text) {
  problem item;
  lat_test_assert_ok(problem_parse(text, &item));
  return item;
}

static void assert_prints(const char *text, const char *expected) {
  char buffer[PROBLEM_TEXT_BYTES];
  problem item = parse(text);
  assert_string_equal(problem_print(&item, buffer), expected);
}

static void assert_refused(const char *text, const char *fragment) {
  problem item = {.c_in = 12345};
  lat_test_assert_error(problem_parse(text, &item), LAT_STATUS_INVALID_ARGUMENT, fragment);
  assert_int_equal(item.c_in, 12345); // untouched
}

static void test_every_field(void **state) {
  (void)state;
  problem item =
      parse("conv3d:cin=16,cout=32,groups=8,k=3x1x5,s=2,p=1x0x2,d=2,mode=target,type=f16,weights=int4,n=120k,batch=3,"
            "seed=18446744073709551615,order=lex,sweeps=7,level=scalar,threads=2,voxel=0.1,density=0.25");
  assert_int_equal(item.op, PROBLEM_CONV3D);
  assert_int_equal(item.mode, LAT_RELATION_TARGET);
  assert_int_equal(item.c_in, 16);
  assert_int_equal(item.c_out, 32);
  assert_int_equal(item.groups, 8);
  assert_int_equal(item.order, PROBLEM_ORDER_LEX);
  assert_int_equal(item.sweeps, 7);
  assert_int_equal(item.kernel.x, 3);
  assert_int_equal(item.kernel.y, 1);
  assert_int_equal(item.kernel.z, 5);
  assert_int_equal(item.stride.z, 2);
  assert_int_equal(item.padding.x, 1);
  assert_int_equal(item.padding.y, 0);
  assert_int_equal(item.padding.z, 2);
  assert_int_equal(item.dilation.y, 2);
  assert_int_equal(item.type, LAT_DTYPE_F16);
  assert_int_equal(item.weights, PROBLEM_WEIGHTS_INT4);
  assert_int_equal(item.scene, PROBLEM_SCENE_RANDOM);
  assert_int_equal(item.n, 120000);
  assert_int_equal(item.batch, 3);
  assert_true(item.seed == UINT64_MAX);
  assert_int_equal(item.level, LAT_CPU_LEVEL_SCALAR);
  assert_int_equal(item.threads, 2);
  assert_true(item.voxel > 0.0999 && item.voxel < 0.1001);
  assert_true(item.density > 0.2499 && item.density < 0.2501);
}

static void test_defaults(void **state) {
  (void)state;
  problem item = parse("conv3d:cin=24");
  assert_int_equal(item.c_out, 24); // as many as go in
  assert_int_equal(item.kernel.x, 3);
  assert_int_equal(item.stride.x, 1);
  assert_int_equal(item.n, PROBLEM_ANY_COUNT);
  assert_int_equal(item.weights, PROBLEM_WEIGHTS_F32);
  assert_int_equal(parse("conv3d:type=f16").weights, PROBLEM_WEIGHTS_F16);
  item = parse("pool3d");
  assert_int_equal(item.kernel.x, 2);
  assert_int_equal(item.stride.x, 2);
  assert_int_equal(item.mode, LAT_POOL_SUM);
  item = parse("conv_transpose3d");
  assert_int_equal(item.kernel.x, 2);
  assert_int_equal(item.stride.x, 2);
  assert_int_equal(item.mode, PROBLEM_TRANSPOSE_TARGET);
  assert_int_equal(item.groups, 1);
  assert_int_equal(item.sweeps, 1);
  assert_int_equal(parse("sparse_add").mode, LAT_JOIN_OUTER);
  assert_int_equal(parse("sparse_cat:").mode, LAT_JOIN_INNER);
  assert_int_equal(parse("relu:scan=a/b.ply").scene, PROBLEM_SCENE_SCAN);
}

static void test_canonical_form(void **state) {
  (void)state;
  assert_prints("conv3d:threads=1,scene=cpu_lidar,s=1,k=3,cout=64,cin=64,type=f32",
                "conv3d:cin=64,cout=64,k=3,s=1,type=f32,scene=cpu_lidar,threads=1");
  assert_prints("subm_conv3d:k=3x3x1,weights=int8",
                "subm_conv3d:cin=64,cout=64,k=3x3x1,type=f32,weights=int8,scene=random");
  assert_prints("conv3d:k=5x5x5,weights=f32", "conv3d:cin=64,cout=64,k=5,s=1,type=f32,scene=random");
  assert_prints("linear:type=f16,weights=f16", "linear:cin=64,cout=64,type=f16,scene=random");
  assert_prints("linear:type=f16,weights=f32", "linear:cin=64,cout=64,type=f16,weights=f32,scene=random");
  assert_prints("subm_conv3d:order=lex,sweeps=10,scene=street,groups=64",
                "subm_conv3d:cin=64,cout=64,groups=64,k=3,type=f32,scene=street,sweeps=10,order=lex");
  assert_prints("conv_transpose3d:mode=generative,cout=32",
                "conv_transpose3d:cin=64,cout=32,k=2,s=2,mode=generative,type=f32,scene=random");
  assert_prints("network:", "network:name=sparse_resunet42,type=f32,scene=random");
  assert_prints("network:fusion=off,type=bf16,name=minkunet18a,scene=cpu_lidar,threads=2",
                "network:name=minkunet18a,type=bf16,fusion=off,scene=cpu_lidar,threads=2");
  assert_prints("gelu:cin=8,n=1.5M", "gelu:cin=8,mode=none,type=f32,scene=random,n=1500k");
  assert_prints("relation:n=2M,seed=7", "relation:k=3,s=1,mode=forward,scene=random,n=2M,seed=7");
  assert_prints("relu:n=0", "relu:cin=64,type=f32,scene=random,n=0");
  assert_prints("relu:n=1001", "relu:cin=64,type=f32,scene=random,n=1001");
  assert_prints("voxelize:scan=my scan.ply,voxel=.1", "voxelize:cin=64,mode=mean,type=f32,scan=my scan.ply,voxel=0.1");
  assert_prints("radius:radius=1e1,neighbors=8", "radius:radius=1e+01,neighbors=8,scene=random");
  assert_prints("knn:n=9", "knn:neighbors=16,scene=random,n=9");
  assert_prints("devoxelize:scene=street,mode=nearest", "devoxelize:cin=64,mode=nearest,type=f32,scene=street");
}

static void test_unknown_names(void **state) {
  (void)state;
  assert_refused("conv4d:cin=3",
                 "unknown operator: got 'conv4d', expected one of conv3d, subm_conv3d, conv_transpose3d, linear");
  assert_refused("conv4d", "sparse_cat, voxelize, devoxelize, relation, radius, knn, network");
  assert_refused("conv3d:channels=3",
                 "unknown key: got 'channels', expected one that conv3d takes: cin, cout, groups, k, s, p, d");
  assert_refused("relu:cout=3", "unknown key: got 'cout', expected one that relu takes: cin, type, scene");
  assert_refused("conv3d:type=f64", "bad value of key 'type': got 'f64', expected f32, f16, bf16");
  assert_refused("conv3d:scene=moon",
                 "bad value of key 'scene': got 'moon', expected random, street, cpu_lidar, cpu_indoor");
  assert_refused("pool3d:mode=outer", "bad value of key 'mode': got 'outer', expected sum, max, avg");
  assert_refused("sparse_add:mode=max", "expected inner, left, right, outer");
  assert_refused("conv3d:weights=int2", "expected f32, f16, bf16, int8, int4");
  assert_refused("conv3d:level=sse", "expected auto, scalar, neon, avx2, avx512");
  assert_refused("conv3d:peer=cudnn", "expected none, naive");
}

static void test_bad_numbers(void **state) {
  (void)state;
  static const char *const texts[] = {
      "conv3d:cin=0",     "conv3d:cin=-1",    "conv3d:cin=1.5",  "conv3d:cin=",
      "conv3d:cin=x",     "conv3d:cin=65537", "conv3d:n=3G",     "conv3d:n=1e3",
      "conv3d:n=3000M",   "conv3d:n=inf",     "conv3d:n=0x10",   "conv3d:n= 5",
      "conv3d:batch=0",   "conv3d:threads=x", "conv3d:seed=-1",  "conv3d:seed=18446744073709551616",
      "conv3d:voxel=0",   "conv3d:voxel=nan", "conv3d:voxel=1e", "conv3d:density=1.01",
      "conv3d:density=0", "radius:radius=-1", "conv3d:n=1.2.3"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) assert_refused(texts[i], "bad value of key '");
  assert_refused("conv3d:cin=70000", "got '70000', expected a whole number (suffixes k, M) from 1 to 65536");
  static const char *const triples[] = {"k=0",   "k=3x3", "k=3x3x3x3", "k=3x", "k=axbxc",
                                        "k=1.5", "s=0",   "d=0x1x1",   "p=-1"};
  for (size_t i = 0; i < sizeof triples / sizeof triples[0]; i++) {
    char text[64];
    snprintf(text, sizeof text, "conv3d:%s", triples[i]);
    assert_refused(text, "expected one whole number, or three as in 3x1x5");
  }
}

static void test_bad_form(void **state) {
  (void)state;
  char text[2 * PROBLEM_TEXT_BYTES];
  assert_refused("", "bad length: got 0 bytes");
  assert_refused(NULL, "bad length: got 0 bytes");
  assert_refused("conv3d:cin", "bad part: got 'cin', expected key=value");
  assert_refused("conv3d:,", "bad part: got ''");
  assert_refused("conv3d:cin=3,cin=3", "key given twice: got 'cin' again");
  assert_refused("conv3d:scene=random,scan=a.ply", "scene and scan exclude each other");
  assert_refused("conv3d:type=f16,weights=f32",
                 "dense weights of conv3d must have the features' type: got 'f32', expected f16");
  assert_refused("conv3d:cin=6,cout=9,groups=2", "groups must divide cin and cout: got 2 for 6 and 9 channels");
  assert_refused("conv3d:groups=2,peer=naive", "peer=naive has no groups: got 2, expected 1");
  assert_refused("conv_transpose3d:mode=forward", "got 'forward', expected own, generative, target, inverse");
  assert_refused("network:name=unet", "got 'unet', expected minkunet14, minkunet18a, minkunet34c, sparse_resunet42, ");
  assert_refused("network:cin=4", "unknown key: got 'cin', expected one that network takes: name, type, fusion, scene");
  assert_refused("linear:groups=2", "unknown key: got 'groups'");
  assert_refused("relu:sweeps=51", "from 1 to 50");
  assert_refused("conv3d:type=f16,peer=naive", "peer=naive takes float32 features: got 'f16', expected f32");
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  assert_refused(text, "bad length");
  memcpy(text, "conv3d:scan=", 12);
  text[12 + PROBLEM_PATH_BYTES] = '\0';
  assert_refused(text, "expected a file name of 1 to 255 bytes");
}

static void test_lists(void **state) {
  (void)state;
  problem_list list = {0};
  char buffer[PROBLEM_TEXT_BYTES];
  lat_test_assert_ok(problem_expand("conv3d:cin=16,32,weights=f32,int8,int4,threads=1", &list));
  assert_int_equal(list.n, 6);
  assert_string_equal(problem_print(&list.items[0], buffer),
                      "conv3d:cin=16,cout=16,k=3,s=1,type=f32,scene=random,threads=1");
  assert_string_equal(problem_print(&list.items[5], buffer),
                      "conv3d:cin=32,cout=32,k=3,s=1,type=f32,weights=int4,scene=random,threads=1");
  lat_test_assert_ok(problem_expand("relu", &list));
  assert_int_equal(list.n, 7);

  lat_test_assert_error(problem_expand("relu:cin=1,2,x", &list), LAT_STATUS_INVALID_ARGUMENT, "got 'x'");
  lat_test_assert_error(problem_expand("relu:3,cin=1", &list), LAT_STATUS_INVALID_ARGUMENT, "bad part: got '3'");
  lat_test_assert_error(
      problem_expand("relu:cin=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,"
                     "29,30,31,32,33",
                     &list),
      LAT_STATUS_INVALID_ARGUMENT, "too many values of 'cin'");
  static const char twenty[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20";
  char text[PROBLEM_TEXT_BYTES];
  snprintf(text, sizeof text, "conv3d:cin=%s,cout=%s,n=%s", twenty, twenty, twenty);
  lat_test_assert_error(problem_expand(text, &list), LAT_STATUS_INVALID_ARGUMENT, "too many combinations");
  assert_int_equal(list.n, 7); // failures keep what was there
  problem_list_release(&list);
  assert_null(list.items);
}

static void test_files(void **state) {
  (void)state;
  char path[] = "/tmp/lattice_problems_XXXXXX";
  int handle = mkstemp(path);
  assert_true(handle >= 0);
  static const char good[] = "# a comment\n\n  relu:cin=8,16  # two\r\ngelu\n";
  assert_int_equal(write(handle, good, sizeof good - 1), sizeof good - 1);
  problem_list list = {0};
  lat_test_assert_ok(problem_read_file(path, &list));
  assert_int_equal(list.n, 3);
  assert_int_equal(list.items[1].c_in, 16);
  assert_int_equal(write(handle, "relu:cin=y\n", 11), 11);
  lat_test_assert_error(problem_read_file(path, &list), LAT_STATUS_INVALID_ARGUMENT,
                        ":5: problem: bad value of key 'cin'");
  assert_int_equal(list.n, 3);
  close(handle);
  unlink(path);
  lat_test_assert_error(problem_read_file(path, &list), LAT_STATUS_IO_ERROR, "cannot open");
  problem_list_release(&list);
}

static void test_problem_file_of_the_project(void **state) {
  (void)state;
  static const char *const files[] = {"bench/problems.txt", "bench/problems-long.txt"};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    char path[1024];
    lat_test_source_path(files[i], path, sizeof path);
    problem_list list = {0};
    lat_test_assert_ok(problem_read_file(path, &list));
    assert_true(list.n > 20);
    problem_list_release(&list);
  }
}

/// A random text over the whole grammar; the keys an operator does not take are tried and dropped.
static void draw_text(uint64_t seed, uint64_t counter, char *text, size_t bytes) {
  static const char *const pairs[][4] = {
      {"cin=1", "cin=64", "cin=100", "cin=65536"},
      {"cout=1", "cout=32", "cout=3", "cout=2k"},
      {"k=1", "k=3x1x5", "k=7", "k=2147483647"},
      {"s=1", "s=2", "s=1x2x3", "s=2147483647"},
      {"p=0", "p=1", "p=0x0x1", "p=9x8x7"},
      {"d=1", "d=2", "d=1x1x4", "d=3"},
      {"mode=max", "mode=outer", "mode=target", "mode=nearest"},
      {"radius=0", "radius=0.1", "radius=3.3333333333333335", "radius=123456.7"},
      {"neighbors=0", "neighbors=1", "neighbors=16", "neighbors=1M"},
      {"type=f32", "type=f16", "type=bf16", "type=f32"},
      {"weights=bf16", "weights=f16", "weights=int8", "weights=int4"},
      {"scene=random", "scene=street", "scene=cpu_indoor", "scan=a=b:c d.bin"},
      {"voxel=0.05", "voxel=0.1", "voxel=0.30000000000000004", "voxel=1e-07"},
      {"density=1", "density=0.5", "density=1e-09", "density=0.333"},
      {"n=0", "n=1", "n=120k", "n=2.5M"},
      {"batch=1", "batch=2", "batch=65536", "batch=7"},
      {"seed=0", "seed=1", "seed=18446744073709551615", "seed=42"},
      {"level=auto", "level=avx2", "level=neon", "level=scalar"},
      {"threads=0", "threads=1", "threads=4096", "threads=2"},
      {"peer=none", "peer=naive", "peer=none", "peer=naive"},
      {"name=minkunet14", "name=minkunet34c", "name=sparse_resnet21d", "name=minkunet18a"},
      {"fusion=on", "fusion=off", "fusion=on", "fusion=off"},
      {"groups=1", "groups=4", "groups=64", "groups=2"},
      {"order=scene", "order=lex", "order=lex", "order=scene"},
      {"sweeps=1", "sweeps=2", "sweeps=10", "sweeps=50"},
      {"mode=own", "mode=generative", "mode=inverse", "mode=own"},
  };
  uint32_t draw[4];
  lat_random_block(seed, 0, counter, draw);
  problem_op op = (problem_op)(draw[0] % PROBLEM_N_OPS);
  size_t used = (size_t)snprintf(text, bytes, "%s:", problem_op_name(op));
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    if (draw[1] >> i & 1) continue;
    char longer[PROBLEM_TEXT_BYTES + 64];
    problem ignored;
    snprintf(longer, sizeof longer, "%s%s%s", text, text[used - 1] == ':' ? "" : ",",
             pairs[i][(i < 16 ? draw[2] >> 2 * i : draw[3] >> 2 * (i - 16)) & 3]);
    if (problem_parse(longer, &ignored)) continue;
    used = (size_t)snprintf(text, bytes, "%s", longer);
  }
}

static void test_print_then_parse(void **state) {
  (void)state;
  const uint64_t seed = 20;
  for (uint64_t i = 0; i < 5000; i++) {
    char text[PROBLEM_TEXT_BYTES], printed[PROBLEM_TEXT_BYTES], again[PROBLEM_TEXT_BYTES];
    draw_text(seed, i, text, sizeof text);
    problem first = parse(text), second;
    problem_print(&first, printed);
    if (problem_parse(printed, &second) || !problem_equal(&first, &second)) {
      fail_msg("seed %llu: '%s' was printed as '%s', which reads otherwise", (unsigned long long)seed, text, printed);
    }
    assert_string_equal(problem_print(&second, again), printed);
  }
}

static void test_equality_sees_every_field(void **state) {
  (void)state;
  static const char *const others[] = {
      "cin=2",        "cout=2",     "k=5",         "s=2",       "p=1",       "d=2",     "type=f16", "weights=int8",
      "scene=street", "scan=a",     "voxel=1",     "density=1", "n=5",       "batch=2", "seed=1",   "level=scalar",
      "threads=1",    "peer=naive", "mode=target", "groups=2",  "order=lex", "sweeps=3"};
  problem usual = parse("conv3d");
  assert_true(problem_equal(&usual, &usual));
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    char text[64];
    snprintf(text, sizeof text, "conv3d:%s", others[i]);
    problem other = parse(text);
    assert_false(problem_equal(&usual, &other));
  }
  usual = parse("network");
  problem other = parse("network:name=minkunet14");
  assert_false(problem_equal(&usual, &other));
  other = parse("network:fusion=off");
  assert_false(problem_equal(&usual, &other));
  usual = parse("conv3d");
  other = parse("subm_conv3d");
  assert_false(problem_equal(&usual, &other));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_field),
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_canonical_form),
      cmocka_unit_test(test_unknown_names),
      cmocka_unit_test(test_bad_numbers),
      cmocka_unit_test(test_bad_form),
      cmocka_unit_test(test_lists),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_problem_file_of_the_project),
      cmocka_unit_test(test_print_then_parse),
      cmocka_unit_test(test_equality_sees_every_field),
  };
  return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
