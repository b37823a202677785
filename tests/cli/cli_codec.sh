#!/usr/bin/env bash
# Runs `lattice compress` and `lattice decompress` as a user would: a scan there and back, the published sizes, damaged
# files, and good files that must stay whole.
#
# usage: LATTICE_CLI=path/of/lattice cli_codec.sh
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=${LATTICE_CLI:?set LATTICE_CLI to the program}
shared=${LATTICE_SHARED:-$root/../shared}
shared=$(cd "$shared" 2>/dev/null && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# run CODE ARGUMENTS...: runs the program and expects the exit code.
run() {
  local code=$1
  shift
  "$program" "$@" >stdout 2>stderr
  local got=$?
  [ $got = "$code" ] || { fail "$*: exit code $got, expected $code"; cat stderr; }
}

# says FILE TEXT: the file contains the text.
says() {
  grep -qF -e "$2" "$1" || { fail "'$2' is not in $1:"; cat "$1"; }
}

# field NAME: a number of the JSON line on stdout.
field() {
  python3 -c 'import json, sys; print(json.loads(open("stdout").read())[sys.argv[1]])' "$1"
}

# --- a small random network -------------------------------------------------------------------------------------------
python3 "$root/tools/reno_artifact.py" --random 4 1 net >/dev/null || fail "reno_artifact.py --random"
python3 "$root/tools/reno_artifact.py" --random 4 2 other >/dev/null || fail "reno_artifact.py --random"
run 0 simulate --points 3000 -o scan.ply
run 0 compress scan.ply --model net --posq 200 -o scan.lat
says stdout "voxels of 200 mm"
cp scan.lat good.lat
run 0 decompress scan.lat -o back.ply # finds the network beside the file
says stdout "voxels of 200 mm, in back.ply"
run 0 decompress scan.lat --model net -o again.ply --json
voxels=$(field voxels)
cmp -s back.ply again.ply || fail "the named network gives other voxels"
run 0 compress back.ply --model net --posq 200 -o twice.lat --json
[ "$(field voxels)" = "$voxels" ] || fail "voxels of voxels: $(field voxels), expected $voxels"

run 1 decompress scan.lat --model other -o no.ply
says stderr "coded with another network"
mkdir away && cp scan.lat away && cp back.ply away
(cd away && "$program" decompress scan.lat -o back.ply 2>../stderr) && fail "decoded without a network"
says stderr "name it with --model DIR"
cmp -s back.ply away/back.ply || fail "a failure touched a good file"
head -c 200 good.lat >cut.lat
run 1 decompress cut.lat -o back.ply
says stderr "truncated or too long"
printf 'x' | dd of=scan.lat bs=1 seek=150 conv=notrunc 2>/dev/null
run 1 decompress scan.lat -o back.ply
says stderr "damaged"
cmp -s back.ply again.ply || fail "a failure touched a good file"
run 1 compress missing.ply --model net --posq 200 -o good.lat
run 1 decompress good.lat -o back.ply --model missing
cp good.lat scan.lat
run 1 compress scan.ply --model missing --posq 200 -o scan.lat
cmp -s scan.lat good.lat || fail "a failure touched a good file"
run 1 compress scan.ply --model net --posq 200 -o /dev/null
says stderr "expected a regular file or a new name"
[ -c /dev/null ] || fail "a device was replaced"
[ -e no.ply ] && fail "a failure left a file"
run 2 compress scan.ply --model net -o scan.lat
says stderr "expected --posq N"
run 2 compress scan.ply --posq 8 -o scan.lat
says stderr "expected --model DIR"
run 2 compress scan.ply --model net --posq 8
run 2 compress scan.ply --model net --posq 65505 -o scan.lat
run 2 decompress scan.lat

# --- the published sizes ----------------------------------------------------------------------------------------------
if [ -e "$shared/weights/reno_KITTIDetection.pt" ]; then
  python3 "$root/tools/reno_artifact.py" "$shared/weights/reno_KITTIDetection.pt" kitti || fail "reno_artifact.py"
  for pair in ${LATTICE_CODEC_SIZES:-512:41008 256:102256 128:227568 64:417376 32:662056 16:954944 8:1265624}; do
    posq=${pair%:*} bits=${pair#*:}
    run 0 compress "$shared/data/kitti_det_000001.bin" --model kitti --threads 1 --posq "$posq" -o frame.lat --json
    bytes=$(field payload_bytes)
    python3 -c 'import sys
got, expected = int(sys.argv[1]), int(sys.argv[2]) / 8
sys.exit(abs(got - expected) > max(16, 0.001 * expected))' "$bytes" "$bits" || fail "posq $posq: $bytes bytes, published $((bits / 8))"
    echo "posq $posq: $bytes bytes, published $((bits / 8))"
  done
  run 1 compress "$shared/data/samp11-utm.pcd" --model kitti --posq 100 -o no.lat
  says stderr "too coarse for the voxel size"
else
  echo "skipped: no shared data"
fi

[ $failures = 0 ] && echo "cli_codec: passed"
[ $failures = 0 ]
