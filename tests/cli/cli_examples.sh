#!/usr/bin/env bash
# The examples as a reader would run them: segment on a simulated scan, codec there and back. (quickstart and custom_op are
# tests/golden's.)
#
# usage: LATTICE_CLI=path/of/lattice LATTICE_EXAMPLES=folder cli_examples.sh
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$(dirname "$here")")
program=${LATTICE_CLI:?set LATTICE_CLI to the program}
examples=${LATTICE_EXAMPLES:-}
[ -n "$examples" ] || { echo "skipped: the examples were not built"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
checks=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# run CODE EXAMPLE ARGUMENTS...: runs it and expects the exit code.
run() {
  local code=$1 name=$2 got
  shift 2
  "$examples/$name" "$@" >stdout 2>stderr
  got=$?
  checks=$((checks + 1))
  [ "$got" = "$code" ] || fail "$name $*: exit code $got, expected $code: $(cat stderr)"
}

# says FILE EXPRESSION: a line matches.
says() {
  checks=$((checks + 1))
  grep -qE -e "$2" "$1" || fail "'$2' is not in $1: $(cat "$1")"
}

"$program" simulate --seed 3 --points 1000 -o scan.ply >/dev/null || fail "simulate"
points=$("$program" info scan.ply | sed -n 's/^points *\([0-9]*\),.*/\1/p')

# --- segment ---------------------------------------------------------------------------------------------------------
# The example says that it leaves what it holds to the end of the process, so leaks are no finding in it.
sanitizer=${ASAN_OPTIONS:-}
export ASAN_OPTIONS=${sanitizer:+$sanitizer:}detect_leaks=0
run 0 segment scan.ply classes.ply
says stdout "^$points points, [0-9]+ voxels\$"
"$program" info classes.ply >info.txt || fail "info classes.ply"
says info.txt "^points +$points,"
says info.txt '^class +uint8 '
run 1 segment missing.ply no.ply
says stderr '^segment: cloud_read: missing.ply: cannot open'
run 1 segment scan.ply no.ply missing.safetensors
says stderr '^segment: .*missing.safetensors'
run 1 segment scan.ply
says stderr '^usage: segment IN OUT.ply'
[ ! -e no.ply ] || fail "a failure leaves a file"
# Strict: every name that is missing or too much, and shapes.
printf '\100\0\0\0\0\0\0\0%-64s\0\0\0\0' '{"other":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' >other.safetensors
run 1 segment scan.ply no.ply other.safetensors
says stderr 'missing: .*1 unexpected: other'

# --- codec -----------------------------------------------------------------------------------------------------------
export ASAN_OPTIONS=$sanitizer
if command -v python3 >/dev/null; then
  python3 "$root/tools/reno_artifact.py" --random 4 1 net >/dev/null || fail "reno_artifact.py --random"
  run 0 codec net scan.ply 200
  says stdout "^$points points, [0-9]+ voxels, [0-9]+ bytes, [0-9.]+ bits a point\$"
  voxels=$(sed -n 's/.* points, \([0-9]*\) voxels.*/\1/p' stdout)
  says stdout "^decoded $voxels voxels; a point is at most 0\.[0-9]+ m from its voxel\$"
  error=$(sed -n 's/.*at most \([0-9.]*\) m.*/\1/p' stdout)
  # Half the diagonal of a voxel of 0.2 m, and of one of a millimetre.
  awk -v e="$error" 'BEGIN { exit !(e > 0.02 && e <= 0.1742) }' || fail "codec: error of $error m"
  run 1 codec missing scan.ply 200
  says stderr '^codec: .*missing'
else
  echo "skipped: no python3"
fi
run 2 codec net scan.ply
says stderr '^usage: codec MODEL_FOLDER SCAN VOXEL_MM'

echo "cli_examples: $checks checks, $failures failures"
[ "$failures" = 0 ]
