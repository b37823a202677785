#!/usr/bin/env bash
# Measures the limits of the machine, then problems. `make bench` builds a release and calls it.
#
# usage: bench/run.sh [PROGRAM] [-- OPTIONS AND PROBLEMS OF lattice bench]
#        bench/run.sh build/release/lattice -- --record     appends to bench/history/
# Without problems those of bench/problems.txt are measured. Their scenes are in the shared data, found through
# LATTICE_SHARED, else in ../shared; without the data the simulated street takes their place, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

program=build/release/lattice
if [ $# -gt 0 ] && [ "$1" != "--" ]; then
  program=$1
  shift
fi
[ "${1:-}" = "--" ] && shift
[ -x "$program" ] || { echo "bench/run.sh: no program at '$program': run make first" >&2; exit 2; }

options=()
explain=()
problems=()
while [ $# -gt 0 ]; do
  case $1 in
    --json | --record | --cpu-time) options+=("$1") ;;
    --explain) explain=("$1") ;; # of problems alone
    --file) problems+=("$1" "${2:?value of $1}"); shift ;;
    --*=*) options+=("$1") ;;
    --*) options+=("$1" "${2:?value of $1}"); shift ;;
    *) problems+=("$1") ;;
  esac
  shift
done

if [ ${#problems[@]} -eq 0 ]; then
  list=bench/problems.txt
  if [ ! -r "${LATTICE_SHARED:-../shared}/bench/cpu_lidar.bin" ]; then
    echo "bench/run.sh: no shared data (LATTICE_SHARED): cpu_lidar and cpu_indoor become the simulated street" >&2
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    sed -e 's/scene=cpu_lidar,cpu_indoor/scene=street/; s/scene=cpu_lidar/scene=street/; /cpu_indoor/d' bench/problems.txt >"$list"
  fi
  problems=(--file "$list")
fi

"$program" bench limits "${options[@]}"
exit_code=0
"$program" bench "${options[@]}" "${explain[@]}" "${problems[@]}" || exit_code=$?
exit "$exit_code"
