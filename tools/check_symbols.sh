#!/usr/bin/env bash
# Compares the symbols that the shared libraries export with the LAT_API functions of the public headers, both ways.
# usage: tools/check_symbols.sh BUILD_FOLDER [--allow-missing]     (io.h belongs to liblattice_io, the rest to liblattice)
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
allow_missing=${2:-}
failed=0

declared() { # the function names that the given headers declare with LAT_API
  sed -e 's://.*$::' -e '/^ *#/d' "$@" | tr '\n' ' ' | grep -oE 'LAT_API [^;{]*' |
    sed -E 's/LAT_API +(LAT_CHECKED +)?[^(]*\b(lat_[a-z0-9_]+) *\(.*/\2/' | sort
}

exported() { nm -D --defined-only "$1" | awk '{ print $NF }' | sed 's/@.*//' | grep -vE '^(_init|_fini|__gcov.*|__llvm.*|__sanitizer.*)$' | sort; }

compare() { # library headers...
  local library=$1 leaked missing
  shift
  if [ ! -e "$library" ]; then
    echo "check_symbols: $library was not built, not checked"
    return
  fi
  leaked=$(comm -13 <(declared "$@") <(exported "$library"))
  missing=$(comm -23 <(declared "$@") <(exported "$library"))
  if [ -n "$leaked" ]; then
    printf '%s exports what no public header declares:\n%s\n' "$library" "$leaked"
    failed=1
  fi
  if [ -n "$missing" ]; then
    printf '%s lacks what public headers declare:\n%s\n' "$library" "$missing"
    [ "$allow_missing" = --allow-missing ] || failed=1
  fi
  echo "check_symbols: $(basename "$library") exports $(exported "$library" | wc -l) functions, the headers declare $(declared "$@" | wc -l)"
}

core_headers=()
for header in include/lattice/*.h; do [ "$header" = include/lattice/io.h ] || core_headers+=("$header"); done
compare "$build/liblattice.so" "${core_headers[@]}"
compare "$build/liblattice_io.so" include/lattice/io.h
exit $failed
