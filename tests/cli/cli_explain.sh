#!/usr/bin/env bash
# `lattice explain`: a line for each layer, the numbers of JSON and text, and what is refused.
#
# usage: LATTICE_CLI=path/of/lattice cli_explain.sh
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${LATTICE_CLI:?set LATTICE_CLI to the program}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
checks=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# refused CODE FRAGMENT ARGUMENTS...: the exit code, and a line on stderr with the fragment.
refused() {
  local code=$1 fragment=$2 got
  shift 2
  "$program" explain "$@" >"$work/out" 2>"$work/err"
  got=$?
  checks=$((checks + 1))
  [ "$got" = "$code" ] || fail "explain $*: exit $got, expected $code"
  grep -qF -- "$fragment" "$work/err" || fail "explain $*: no '$fragment' in: $(cat "$work/err")"
}

network=(--network sparse_resnet21d --scene random --rows 400 --threads 1)

"$program" explain "${network[@]}" >"$work/text" 2>"$work/err" || fail "explain: $(cat "$work/err")"
checks=$((checks + 1))
# 21 convolutions and the input, each convolution with its norm and activation.
[ "$(grep -c 'conv3d + batch_norm' "$work/text")" = 21 ] || fail "explain: $(grep -c 'conv3d' "$work/text") convolutions"
grep -qE '^0\.1\.main\.3 +subm_conv3d \+ batch_norm \+ add \+ relu +same +400 +16 ' "$work/text" || fail "explain: no residual layer"
grep -qE '^400 input rows, 2693920 parameters, f32, 1 threads$' "$work/text" || fail "explain: no summary"
grep -qE '^memory: values all together [0-9.]+ MiB, live at once [0-9.]+ MiB; arena [0-9.]+ MiB; peak' "$work/text" || fail "explain: no memory"

"$program" explain "${network[@]}" --no-fusion --type f16 --json >"$work/json" || fail "explain --json"
checks=$((checks + 1))
if command -v python3 >/dev/null; then
  python3 - "$work/json" <<'PYTHON' || fail "explain --json: wrong content"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["rows"] == 400 and report["type"] == "f16" and report["parameters"] == 2693920
ops = [layer["op"] for layer in report["layers"]]
assert ops.count("subm_conv3d") == 17 and ops.count("conv3d") == 4 and ops.count("batch_norm") == 21, ops
first = next(layer for layer in report["layers"] if layer["op"] == "subm_conv3d")
assert first["edges"] >= 400 and first["in_channels"] == 4 and first["channels"] == 16 and first["bytes"] == 400 * 16 * 2
assert first["products"] == first["edges"] * 64 and first["limit_percent"] > 0
assert first["algorithm"].startswith("subm_conv3d: ") and first["map_ms"] >= 0 and first["compute_ms"] > 0
assert report["peak_bytes"] >= report["live_bytes"] > 0 and report["total_bytes"] > report["live_bytes"]
PYTHON
fi

refused 2 "got no model, expected a folder or --network"
refused 2 "got both" somewhere --network minkunet14
refused 2 "expected f32, f16 or bf16" --network minkunet14 --type f64
refused 1 "no network of that name" --network alexnet
refused 1 "directory does not exist" "$work/nowhere"

# Points and voxels: a point in every voxel of two copies of the scene.
"$program" explain --network spvcnn --scene street --rows 300 --items 2 --threads 1 --json >"$work/json" || fail "explain spvcnn"
checks=$((checks + 1))
grep -qE '"rows": [0-9]*[02468],.*"op": "devoxelize"' "$work/json" || fail "explain spvcnn: $(head -c 300 "$work/json")"
strided=${LATTICE_SHARED:-$here/../../../shared}/fixtures/pool_transpose
if [ -d "$strided" ]; then
  refused 1 "input source has the stride (2, 1, 1), expected 1" "$strided" --scene random --rows 100
else
  echo "skipped: no shared data"
fi

echo "cli_explain: $checks checks, $failures failures"
[ "$failures" = 0 ]
