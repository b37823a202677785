#!/usr/bin/env bash
# Converts tiny checkpoints of every library, written by hand, and runs the artifacts (convert_checks.py).
#
# usage: LATTICE_CLI=path/of/lattice cli_convert.sh
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! command -v python3 >/dev/null; then
  echo "skipped: no python3"
  exit 0
fi
exec python3 -B "$here/convert_checks.py"
