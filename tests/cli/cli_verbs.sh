#!/usr/bin/env bash
# Runs the program as a user would and compares everything it says with expected/VERB.txt: output, messages, exit
# code.
#
# usage: LATTICE_CLI=path/of/lattice cli_verbs.sh
# With LATTICE_RECORD=1 the expected files are written instead: read the difference before committing it.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${LATTICE_CLI:?set LATTICE_CLI to the program}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
checks=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# Times differ between runs, thread counts and CPU levels between machines.
mask() {
  sed -E -e 's/ +[0-9]+\.[0-9]{2}( +[0-9]+\.[0-9]{2})?$/ MS/' -e 's/[0-9]+ threads, level [a-z0-9]+/T threads, level L/' "$1"
}

# check ARGUMENTS...: runs `lattice ARGUMENTS` and adds what it says to the transcript.
check() {
  local code
  "$program" "$@" >"$work/.stdout" 2>"$work/.stderr"
  code=$?
  {
    echo "\$ lattice $*"
    mask "$work/.stdout"
    sed 's/^/stderr: /' "$work/.stderr"
    echo "exit $code"
    echo
  } >>"$work/.transcript"
  checks=$((checks + 1))
}

# compare NAME: compares the transcript with expected/NAME.txt and begins a new one.
compare() {
  if [ "${LATTICE_RECORD:-0}" = 1 ]; then
    cp "$work/.transcript" "$here/expected/$1.txt"
  elif ! diff -u "$here/expected/$1.txt" "$work/.transcript"; then
    fail "$1"
  fi
  rm -f "$work/.transcript"
}

# expect TEXT COMMAND...: the command succeeds.
expect() {
  local text=$1
  shift
  checks=$((checks + 1))
  "$@" || fail "$text"
}

# --- what the program is ---------------------------------------------------------------------------------------------
for verb in info validate run voxelize simulate demo bench; do
  [ "$verb" = bench ] || check "$verb" --help # cli_bench.sh looks at that one
  expect "help $verb is $verb --help" cmp -s <("$program" help "$verb") <("$program" "$verb" --help)
  expect "--help lists $verb" grep -q "^  $verb " <("$program" --help)
done
expect "--version" test "$("$program" --version)" = "lattice $(cat "$here/../../VERSION")"
"$program" >/dev/null 2>"$work/.stderr"
expect "no verb: exit code 2" test $? = 2
expect "no verb: help on stderr" grep -q '^usage: lattice VERB' "$work/.stderr"
check frobnicate
check help frobnicate

compare help

# --- info ------------------------------------------------------------------------------------------------------------
cat >small.ply <<'END'
ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
property uchar label
property double time
end_header
1 2 3 7 0.125
-1.5 0.25 nan 9 1e-3
4 5 inf 255 12345.678
END
printf 'ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n1 two 3\n' >broken.ply
printf 'ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\nend_header\n' >empty.ply
head -c 160 /dev/zero >zeros.bin
mkdir folder
pcd_header='VERSION 0.7\nFIELDS x y z rgb _ label\nSIZE 4 4 4 4 1 1\nTYPE F F F U U I\nCOUNT 1 1 1 1 3 2\nWIDTH 2\nHEIGHT 1\nPOINTS 2\n'
printf '# .PCD v0.7\n%bDATA ascii\n1 2 3 255 a b c -7 8\n-1.5 nan 0.5 65536 a b c 9 10\n' "$pcd_header" >small.pcd
printf '%bDATA binary_compressed\n\x10\0\0\0\xff\xff\xff\xff' "$pcd_header" >bomb.pcd
# A LAS 1.2 file of two points, format 2: scale 0.01, offset 1000.
{
  printf 'LASF%020d\1\2%068d\343\0\343\0\0\0\0\0\0\0\2\32\0\2\0\0\0%020d' 0 0 0 | tr 0 '\0'
  for _ in 1 2 3; do printf '\173\24\256\107\341\172\204\77'; done
  for _ in 1 2 3; do printf '\0\0\0\0\0\100\217\100'; done
  head -c 48 /dev/zero
  printf '\1\0\0\0\2\0\0\0\3\0\0\0\20\0\11\2\373\7\1\0\0\1\0\2\0\3'
  printf '\144\0\0\0\310\0\0\0\54\1\0\0\40\0\12\6\5\7\1\0\0\4\0\5\0\6'
} >small.las
{
  head -c 104 small.las
  printf '\202'
  tail -c +106 small.las
} >small.laz
check info small.ply
check info small.las
check info small.laz
check info small.pcd
check info small.pcd --json
check info bomb.pcd
check info small.ply --json
check info empty.ply
check info --floats 5 zeros.bin
check info zeros.bin
check info no/such/file.ply
check info folder
check info broken.ply
check info folder/../small.ply/x
check info
check info small.ply small.ply
check info small.ply --frob
check info --floats 6 small.ply
check info --json=yes small.ply
check info small.ply --floats
check info -- --missing.ply
if [ -w /dev/full ]; then
  "$program" info small.ply >/dev/full 2>"$work/.stderr"
  expect "a result that cannot be printed: exit code 1" test $? = 1
  expect "a result that cannot be printed: message" grep -q 'cannot write to standard output: No space left' "$work/.stderr"
fi

compare info

# --- model artifacts -------------------------------------------------------------------------------------------------
mkdir net points
{
  cat <<'END'
module attributes {
  lattice.ir_version = 2,
  lattice.schema_digest = "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad",
  lattice.input_names = ["x_coords", "x_features", "x_active"],
  lattice.input_roles = ["sparse_coords", "sparse_features", "sparse_active"],
  lattice.output_names = ["y"], lattice.output_roles = ["sparse_tensor"], lattice.weight_file = "weights.safetensors"
} {
  func.func @forward(%c: tensor<?x4xi32>, %f: tensor<?x1xf32>, %a: tensor<1xi32>)
      -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32> {
    %x = lattice.sparse.make %c, %f, %a {stride = array<i64: 2, 2, 2>, coord_order = #lattice.coord<batch_x_y_z>}
      : (tensor<?x4xi32>, tensor<?x1xf32>, tensor<1xi32>)
        -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %w = lattice.weight @w {storage_key = "conv.weight", layout = #lattice.weight_layout<conv3d_o_xyz_i>,
      packing = #lattice.packing<dense>} : !lattice.weight<conv3d, f32>
    %y = lattice.subm_conv3d %x, %w {kernel_size = array<i64: 3, 1, 1>, dilation = array<i64: 1, 1, 1>,
      accumulation = "canonical_f32"} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel,
      dtype = f32>, !lattice.weight<conv3d, f32>)
        -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    return %y : !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
  }
}
END
} >net/graph.mlir
# Three taps: 1, 2, 4 (0x3f800000, 0x40000000, 0x40800000).
{
  printf '\120\0\0\0\0\0\0\0%-80s' '{"conv.weight":{"dtype":"F32","shape":[1,3,1,1,1],"data_offsets":[0,12]}}'
  printf '\0\0\200\77\0\0\0\100\0\0\200\100'
} >net/weights.safetensors
cp "$here/../fuzz/corpus/artifact/points.mlir" points/graph.mlir
check validate points
check validate points --graph-only
printf '\2\0\0\0\0\0\0\0{}' >points/weights.safetensors
check validate points
check validate points --json
check validate net
check info net
check info net --json
check info points
sed 's/array<i64: 3, 1, 1>/array<i64: 2, 1, 1>/' net/graph.mlir >points/graph.mlir
check validate points
check validate points --json
check info points
cp net/graph.mlir points/graph.mlir
check validate points
check validate missing
check validate small.ply
check validate net net
check validate

compare model

# --- run -------------------------------------------------------------------------------------------------------------
# Rows at x = 0, 2, 6 with stride 2: 0, 1, 3. Features 1, 10, 100.
net_inputs() { # bytes of the second and the third x
  printf '\320\0\0\0\0\0\0\0%-208s' '{"x_coords":{"dtype":"I32","shape":[3,4],"data_offsets":[0,48]},"x_features":{"dtype":"F32","shape":[3,1],"data_offsets":[48,60]},"x_active":{"dtype":"I32","shape":[1],"data_offsets":[60,64]}}'
  head -c 20 /dev/zero
  printf '%b\0\0\0' "$1"
  head -c 12 /dev/zero
  printf '%b\0\0\0' "$2"
  head -c 8 /dev/zero
  printf '\0\0\200\77\0\0\40\101\0\0\310\102\3\0\0\0'
}
net_inputs '\2' '\6' >in.safetensors
net_inputs '\1' '\3' >logical.safetensors
ints() { tail -c 76 "$1" | od -An -v -td4 -w16 | tr -s ' ' | head -n 3 | tr -d '\n'; }
tail_ints() { tail -c 16 "$1" | od -An -v -td4 | tr -s ' '; }
floats() { tail -c 28 "$1" | head -c 12 | od -An -v -tf4 | tr -s ' '; }
check run net --inputs in.safetensors --outputs out.safetensors
expect "taps 1, 2, 4 over 1, 10, -, 100" test "$(floats out.safetensors)" = " 42 21 200"
expect "coordinates are physical" test "$(ints out.safetensors)" = " 0 0 0 0 0 2 0 0 0 6 0 0"
expect "three rows, stride 2" test "$(tail_ints out.safetensors)" = " 3 2 2 2"
expect "the file's header" grep -aqF '"y.coords":{"dtype":"I32","shape":[3,4],"data_offsets":[0,48]},"y.features":{"dtype":"F32","shape":[3,1]' out.safetensors
check run net --inputs logical.safetensors --outputs out_logical.safetensors --coords logical --threads 1 --json
expect "logical coordinates, the same features" test "$(ints out_logical.safetensors)$(floats out_logical.safetensors)" = " 0 0 0 0 0 1 0 0 0 3 0 0 42 21 200"
check run net --inputs logical.safetensors --outputs no.safetensors
check run net --inputs net/weights.safetensors --outputs no.safetensors
check run net --inputs missing.safetensors --outputs no.safetensors
check run net --inputs in.safetensors --outputs no/such/folder/out.safetensors
check run missing --inputs in.safetensors --outputs no.safetensors
expect "a failure leaves no file" test ! -e no.safetensors
check run net --inputs in.safetensors
check run net --outputs no.safetensors
check run net
check run net --inputs in.safetensors --outputs no.safetensors --coords metric
check run net --inputs in.safetensors --scan small.pcd --voxel 1 -o no.ply
check run net --scan small.pcd --voxel 1
check run net --scan small.pcd -o no.ply
check run net --voxel 1 -o no.ply
check run net --scan missing.ply --voxel 1 -o no.ply
mkdir net1
sed 's/i64: 2, 2, 2/i64: 1, 1, 1/' net/graph.mlir >net1/graph.mlir
cp net/weights.safetensors net1
printf 'ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nproperty float a\nproperty float b\nend_header\n0.1 0 0 1 5\n1.5 0.5 0 10 6\n3.9 0.9 0.9 100 7\n3.1 0 0 300 8\n' >cloud.ply
check run net1 --scan cloud.ply --voxel 1 --features a -o scanned.ply
check info scanned.ply
check run net1 --scan cloud.ply --voxel 1 -o ones.ply --json
check info ones.ply
check run net1 --scan cloud.ply --voxel 1 --features a,b -o no.ply
check run net1 --scan cloud.ply --voxel 1 --features c -o no.ply
# The input has stride 2: voxels of twice the length.
check run net --scan cloud.ply --voxel 1 --features a -o strided.ply
check info strided.ply
cp "$here/../fuzz/corpus/artifact/points.mlir" points/graph.mlir
check run points --scan cloud.ply --voxel 1 -o points.ply
check info points.ply
# Two scans are two items of one batch: each gives what it gives alone.
printf 'ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nproperty float a\nproperty float b\nend_header\n0.5 0 0 2 5\n1.5 0.5 0 3 6\n9 9 9 4 7\n' >cloud2.ply
check run net1 --scan cloud.ply --scan cloud2.ply --voxel 1 --features a -o first.ply -o second.ply
expect "the first of two scans" cmp first.ply scanned.ply
"$program" run net1 --scan cloud2.ply --voxel 1 --features a -o alone.ply >/dev/null
expect "the second of two scans" cmp second.ply alone.ply
check run points --scan cloud.ply --scan cloud2.ply --voxel 1 -o first.ply -o second.ply --json
expect "points of the first of two scans" cmp first.ply points.ply
check run net1 --scan cloud.ply --scan cloud2.ply --voxel 1 -o no.ply
check run net1 --scan cloud.ply --scan missing.ply --voxel 1 -o no.ply -o no2.ply
# Voxels and points together: the mean of each scan's voxels, and the voxels at the points.
mkdir mixed
cp points/weights.safetensors mixed
sparse='!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>'
cat >mixed/graph.mlir <<GRAPH
module attributes {
  lattice.ir_version = 2,
  lattice.schema_digest = "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad",
  lattice.input_names = ["x_coords", "x_features", "x_active", "points", "features", "batch", "active"],
  lattice.input_roles = ["sparse_coords", "sparse_features", "sparse_active", "tensor", "tensor", "tensor", "tensor"],
  lattice.output_names = ["near", "mean"],
  lattice.output_roles = ["tensor", "tensor"],
  lattice.weight_file = "weights.safetensors"
} {
  func.func @forward(%c: tensor<?x4xi32>, %f: tensor<?x1xf32>, %n: tensor<1xi32>, %points: tensor<?x3xf32>,
      %features: tensor<?x2xf32>, %batch: tensor<?xi32>, %active: tensor<1xi32>) -> (tensor<?x1xf32>, tensor<?x1xf32>) {
    %x = lattice.sparse.make %c, %f, %n {stride = array<i64: 1, 1, 1>, coord_order = #lattice.coord<batch_x_y_z>} : (tensor<?x4xi32>, tensor<?x1xf32>, tensor<1xi32>) -> $sparse
    %near = lattice.devoxelize %points, %x, %batch, %active {voxel_size = array<f64: 1.0, 1.0, 1.0>, origin = array<f64: 0.5, 0.5, 0.5>, interpolation = #lattice.point_interpolation<nearest>} : (tensor<?x3xf32>, $sparse, tensor<?xi32>, tensor<1xi32>) -> tensor<?x1xf32>
    %mean = lattice.global_pool %x {mode = #lattice.pool_mode<avg>, batch_size = 2} : ($sparse) -> tensor<?x1xf32>
    return %near, %mean : tensor<?x1xf32>, tensor<?x1xf32>
  }
}
GRAPH
check run mixed --scan cloud.ply --scan cloud2.ply --voxel 1 --features a -o first.ply -o second.ply
check info first.ply
check info second.ply
check run mixed --scan cloud.ply --voxel 1 --features a -o no.ply
check run mixed --scan cloud.ply --scan cloud2.ply --voxel 1 --features a,b,x -o no.ply -o no2.ply
mkdir strange
cp points/weights.safetensors strange
sed -e 's/"active"\]/"active", "ids"]/' -e 's/"tensor", "tensor"\],$/"tensor", "tensor", "tensor"],/' -e 's/%active: tensor<1xi32>)/%active: tensor<1xi32>, %ids: tensor<?xi32>)/' -e 's/output_roles = \["tensor", "tensor", "tensor"\]/output_roles = ["tensor", "tensor"]/' mixed/graph.mlir >strange/graph.mlir
check run strange --scan cloud.ply --voxel 1 -o no.ply
expect "a failure leaves no file" test ! -e no.ply -a ! -e no2.ply

compare run

# --- simulate --------------------------------------------------------------------------------------------------------
check simulate --seed 7 --points 30000 -o seven.ply
check simulate --seed 7 --points=30000 --out again.ply --json
expect "simulate gives the same bytes again" cmp -s seven.ply again.ply
# The same on every machine, compiler and level: this is the hash of the project's first release.
sha256sum <seven.ply >.got_hash
[ "${LATTICE_RECORD:-0}" = 1 ] && cp .got_hash "$here/expected/simulate_seven.sha256"
expect "simulate gives the bytes of every other machine" cmp .got_hash "$here/expected/simulate_seven.sha256"
"$program" simulate --seed 8 --points 30000 -o eight.ply >/dev/null
expect "another seed is another street" test -n "$(cmp seven.ply eight.ply)"
check info seven.ply
check simulate --seed 1
check simulate --seed -1 -o x.ply
check simulate --seed 1x -o x.ply
check simulate --points 0 -o x.ply
check simulate --points 99999999999999999999 -o x.ply
check simulate x.ply -o x.ply
check simulate --points 1000 -o no/such/folder/x.ply
check simulate --points 1000 -o folder
mkfifo pipe
check simulate --points 1000 -o pipe

compare simulate

# --- voxelize --------------------------------------------------------------------------------------------------------
check voxelize seven.ply --size 0.5 -o voxels.ply
check info voxels.ply
check voxelize --size=0.5 seven.ply --out voxels_one.ply --threads 1 --json
expect "the number of threads changes nothing" cmp -s voxels.ply voxels_one.ply
check voxelize empty.ply --size 1 -o nothing.ply
check voxelize small.ply --size 1 -o x.ply
sed s/nan/2/ small.pcd >finite.pcd
check voxelize small.las --size 10 -o from_las.ply
check info from_las.ply
check voxelize finite.pcd --size 1 -o from_pcd.ply
check info from_pcd.ply
check voxelize seven.ply --size 0 -o x.ply
check voxelize seven.ply --size -1 -o x.ply
check voxelize seven.ply --size abc -o x.ply
check voxelize seven.ply --size nan -o x.ply
check voxelize seven.ply --size 1e-9 -o x.ply
check voxelize seven.ply -o x.ply
check voxelize seven.ply --size 1
check voxelize --out= seven.ply --size 1
check voxelize missing.ply --size 1 -o x.ply
check voxelize seven.ply --size 1 -o no/such/folder/x.ply
check voxelize seven.ply --size 1 -o x.ply --threads 0
expect "a failure leaves no file" test ! -e x.ply

compare voxelize

# --- demo ------------------------------------------------------------------------------------------------------------
"$program" simulate --seed 7 --points 4000 -o scan.ply >/dev/null
check demo --scan scan.ply --out shown
expect "the features' file has colours, labels and features" \
  test "$("$program" info shown/features.ply | awk 'NR > 5 { printf "%s:%s ", $1, $2 }')" = \
  "x:float32 y:float32 z:float32 red:uint8 green:uint8 blue:uint8 label:uint8 $(printf 'feature_%d:float32 ' 0 1 2 3 4 5 6 7)"
expect "the view is a PNG" test "$(head -c 4 shown/view.png | tail -c 3)" = PNG
"$program" demo --scan scan.ply --out shown_one --threads 1 --json >demo.json
expect "demo --json is one object in one line" test "$(grep -c '^{.*}$' demo.json)" = 1
expect "demo --json names its layers" grep -q '"layer": "max_pool3d k=3 s=2", "rows": [0-9]*, "channels": 96' demo.json
expect "the number of threads changes no feature" cmp -s shown/features.ply shown_one/features.ply
check demo --scan scan.ply --out shown --voxel 1
check demo --scan small.las --out shown --voxel 1
check demo --scan missing.ply --out shown
check demo --scan empty.ply --out shown
check demo --scan scan.ply --out scan.ply
check demo --scan scan.ply --out no/such/folder
check demo --voxel abc

compare demo

echo "$checks checks, $failures failed"
[ "$failures" = 0 ]
