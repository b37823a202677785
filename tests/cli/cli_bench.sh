#!/usr/bin/env bash
# Runs `lattice bench` as a user would: every field of its lines, the table, the history, and what it refuses.
#
# usage: LATTICE_CLI=path/of/lattice cli_bench.sh
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=${LATTICE_CLI:?set LATTICE_CLI to the program}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
quick=(--repeats 2 --seconds 0.001)

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# run CODE ARGUMENTS...: runs `lattice bench ARGUMENTS` and expects the exit code.
run() {
  local code=$1
  shift
  "$program" bench "$@" >stdout 2>stderr
  local got=$?
  [ $got = "$code" ] || { fail "bench $*: exit code $got, expected $code"; cat stderr; }
}

# says FILE TEXT: the file contains the text.
says() {
  grep -qF -e "$2" "$1" || { fail "'$2' is not in $1:"; cat "$1"; }
}

# --- command line ----------------------------------------------------------------------------------------------------
run 0 --help
says stdout "usage: lattice bench PROBLEM... | limits [options]"
says stdout "subm_conv3d:cin=64,cout=64,k=3,type=f32,scene=street,threads=1"
run 2
says stderr "no PROBLEM given"
run 2 conv4d:cin=3
says stderr "unknown operator: got 'conv4d', expected one of conv3d"
run 2 relu:n=1k relu:colour=red
says stderr "unknown key: got 'colour'"
[ -s stdout ] && fail "something was measured although a problem makes no sense"
run 2 --cpu-time relu:n=10,threads=2
says stderr "--cpu-time: got 'relu:"
run 2 --repeats 0 relu:n=10
run 1 --file missing.txt
says stderr "cannot open 'missing.txt'"
printf 'relu:n=10\nrelu:n=x\n' >broken.txt
run 2 --file broken.txt
says stderr "broken.txt:2: problem: bad value of key 'n': got 'x'"

# --- one object a line -----------------------------------------------------------------------------------------------
run 0 "${quick[@]}" --json subm_conv3d:cin=4,8,n=500,density=0.5,threads=1,peer=naive relation:n=100 relu:n=100
[ "$(wc -l <stdout)" = 4 ] || fail "4 problems gave $(wc -l <stdout) lines"
if ! python3 - stdout <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
conv, relation, relu = lines[0], lines[2], lines[3]
keys = ("problem device level threads n_in n_out edges algorithm map_ms ms_median ms_min repeats gflops share_of_peak "
        "peak_bytes spread first_ms share_of_bandwidth").split()
for line in lines:
    missing = [key for key in keys if key not in line]
    assert not missing, missing
    assert line["repeats"] >= 2 and 0 < line["ms_min"] <= line["ms_median"], line
assert conv["problem"].startswith("subm_conv3d:cin=4,cout=4,k=3,type=f32,scene=random,"), conv
assert lines[1]["problem"].startswith("subm_conv3d:cin=8,cout=8,")
assert (conv["n_in"], conv["n_out"], conv["threads"], conv["device"]) == (500, 500, 1, "cpu"), conv
assert conv["edges"] > 500 and conv["map_ms"] > 0 and conv["first_ms"] > 0 and conv["algorithm"], conv
gflops = 2 * conv["edges"] * 4 * 4 / conv["ms_median"] * 1e-6
assert abs(conv["gflops"] / gflops - 1) < 1e-3, conv
assert abs(conv["share_of_peak"] / (conv["gflops"] / conv["peak_gflops"]) - 1) < 1e-3, conv
assert abs(conv["speedup"] / (conv["peer_ms"] / conv["ms_median"]) - 1) < 1e-3, conv
assert relation["map_ms"] == relation["ms_median"] and relation["gflops"] is None, relation
assert relu["edges"] is None and relu["share_of_peak"] is None and relu["share_of_bandwidth"] > 0, relu
assert relu["bytes"] == 2 * 100 * 64 * 4 and relu["peak_bytes"] >= relu["bytes"], relu
END
then
  fail "the lines are not what they should be"
  cat stdout
fi

# The ways there are: which was taken, and why the others were not.
run 0 "${quick[@]}" --explain subm_conv3d:cin=4,cout=64,n=100 linear:n=100 subm_conv3d:cin=8,groups=8,n=100 relu:n=100
says stdout "  * row_gemm "
says stdout "    depthwise        channels mix"
says stdout "    gather_gemm      stands behind the one that was taken"
says stdout "    identity_gemm    rows meet through a relation"
says stdout "  * identity_gemm    identity_gemm_f32"
says stdout "  * depthwise        depthwise_f32"
says stdout "one way: nothing to choose"
[ "$(grep -c '^    \* ' stdout)" = 3 ] || fail "not one way is taken for each of three problems"
run 0 "${quick[@]}" --json subm_conv3d:n=100
grep -q '"ways"' stdout && fail "ways without --explain"
run 0 "${quick[@]}" --json --explain subm_conv3d:n=100
says stdout '{"way": "gather_gemm", "taken": true, "reason": null}'

# A join has to read only the rows of each operand that occur in its result.
run 0 "${quick[@]}" --json sparse_add:mode=inner,left,right,outer,cin=8,n=500,density=0.5 sparse_cat:mode=inner,cin=8,cout=3,n=500,density=0.5
if ! python3 - stdout <<'END'
import json, sys
inner, left, right, outer, cat = [json.loads(line) for line in open(sys.argv[1])]
shared = inner["n_out"]
assert 0 < shared < 500 and left["n_out"] == right["n_out"] == 500 and outer["n_out"] == 1000 - shared, outer
assert inner["bytes"] == 3 * shared * 8 * 4, inner
assert left["bytes"] == right["bytes"] == (500 + shared + 500) * 8 * 4, left
assert outer["bytes"] == (500 + 500 + outer["n_out"]) * 8 * 4, outer
assert cat["bytes"] == 2 * shared * 11 * 4, cat
END
then
  fail "the bytes of joins are not what they should be"
  cat stdout
fi

# A network has layers' work and maps, a first run on a new set, and the memory of all of it.
run 0 "${quick[@]}" --json network:name=sparse_resnet21d,n=300,density=0.3,threads=1
if ! python3 - stdout <<'END'
import json, sys
[net] = [json.loads(line) for line in open(sys.argv[1])]
assert net["problem"] == "network:name=sparse_resnet21d,type=f32,scene=random,density=0.3,n=300,threads=1", net
assert net["n_in"] == 300 and net["n_out"] > 0 and net["edges"] is None, net
assert net["map_ms"] > 0 and net["first_ms"] > 0 and net["gflops"] > 0 and net["share_of_peak"] > 0, net
assert net["peak_bytes"] > 300 * 4 * 4, net
END
then
  fail "the line of a network is not what it should be"
  cat stdout
fi

run 0 "${quick[@]}" relu:n=100
says stdout "of limit"
says stdout "relu:cin=64,type=f32,scene=random,n=100"

run 0 "${quick[@]}" --rounds 3 --json relu:n=100 gelu:n=100
[ "$(wc -l <stdout)" = 2 ] || fail "three rounds of two problems gave $(wc -l <stdout) lines"

# Quantized features are a plan, and their limit is that of integer products.
run 0 "${quick[@]}" --json subm_conv3d:cin=8,n=100,k=3,weights=f32,int8,acts=int8,threads=1 linear:cin=8,n=100,acts=int8
[ "$(grep -c '"algorithm": "quantized_gemm_f32' stdout)" = 3 ] || fail "acts=int8 does not quantize"
[ "$(grep -c '"peak": "int8"' stdout)" = 3 ] || fail "acts=int8 is not measured against integer products"
run 2 "${quick[@]}" subm_conv3d:cin=8,n=100,acts=int8,grad=x
says stderr "acts=int8 has no gradient, groups or peer"

# A problem that fails is named, and the others go on.
LATTICE_SHARED=$work/none run 1 "${quick[@]}" --json relu:scene=cpu_lidar relu:n=10
says stderr "relu:cin=64,type=f32,scene=cpu_lidar: scene: cannot open '$work/none/bench/cpu_lidar.bin'"
[ "$(wc -l <stdout)" = 1 ] || fail "the second problem was not measured"

# --- limits and history ----------------------------------------------------------------------------------------------
run 1 --record relu:n=10
says stderr "--record: cannot write 'bench/history/"
mkdir history
run 0 --json limits --record --history history --commit first
[ "$(grep -c '"problem": "limits"' stdout)" = 2 ] || fail "limits are not two lines"
says stdout '"threads": 1, "fma_peak_gflops": '
run 0 "${quick[@]}" relu:n=10 --record --history=history --commit first
run 0 "${quick[@]}" --cpu-time relu:n=10,threads=1 --record --history=history --commit first
[ "$(cat history/*.jsonl | wc -l)" = 4 ] || fail "the history has not four lines"
says "$(echo history/*.jsonl)" '"commit": "first"'
says "$(echo history/*.jsonl)" '"clock": "cpu"'
python3 "$root/bench/compare.py" --self-test >/dev/null || fail "compare.py --self-test"
python3 "$root/bench/peers/peers.py" --self-test >/dev/null || fail "peers.py --self-test"
if [ -r "${LATTICE_SHARED:-$root/../shared}/bench/cpu_lidar.bin" ]; then
  LATTICE_SHARED=${LATTICE_SHARED:-$root/../shared} python3 "$root/bench/peers/peers.py" --program "$program" --no-install \
    --threads 1 --rounds 1 --repeats 1 --seconds 0.001 --only conv3d:cin=32,cout=64 minkowski >stdout 2>stderr ||
    { fail "peers.py cannot read what lattice bench prints"; cat stderr; }
  says stdout '| MinkowskiEngine 0.5.4 (scaled) |'
else
  echo "skipped: no shared data: peers.py beside lattice bench"
fi
python3 "$root/bench/compare.py" history/*.jsonl "$(echo history/*.jsonl)@first" >/dev/null || fail "compare.py: a run differs from itself"

[ $failures = 0 ] && echo "bench: all checks passed"
exit $((failures > 0))
