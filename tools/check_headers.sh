#!/usr/bin/env bash
# Each public header compiles alone, in C11 and in C++17, without a warning.
set -euo pipefail
cd "$(dirname "$0")/.."
c_compiler=${CC:-gcc}
cxx_compiler=${CXX:-g++}
for header in include/lattice/*.h; do
  name=lattice/$(basename "$header")
  # Twice: the include guard must hold.
  unit=$(printf '#include <%s>\n#include <%s>\n' "$name" "$name")
  "$c_compiler" -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -Iinclude -fsyntax-only -x c - <<<"$unit" ||
    { echo "check_headers: $name does not compile alone as C11"; exit 1; }
  "$cxx_compiler" -std=c++17 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -x c++ - <<<"$unit" ||
    { echo "check_headers: $name does not compile alone as C++17"; exit 1; }
done
