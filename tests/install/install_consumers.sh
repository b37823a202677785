#!/usr/bin/env bash
# Installs a build into a fresh prefix and uses it as a stranger would: C11 and C++17, through find_package and through
# pkg-config. usage: install_consumers.sh BUILD_FOLDER
set -euo pipefail
build=$1
source_root=$(cd "$(dirname "$0")/../.." && pwd)
here=$source_root/tests/install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

step() { echo "install: $*"; }

step "cmake --install"
cmake --install "$build" --prefix "$prefix" >"$work/install.log"

step "every public header is installed, nothing else is"
diff <(cd "$source_root/include" && find . -type f | sort) <(cd "$prefix/include" && find . -type f | sort)

step "find_package in C11 and C++17"
cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }
cmake --build "$work/cmake" >"$work/build.log" || { cat "$work/build.log"; exit 1; }
"$work/cmake/consumer_c"
"$work/cmake/consumer_cxx"

if command -v pkg-config >/dev/null; then
  step "pkg-config in C11 and C++17"
  pc_folder=$(dirname "$(find "$prefix" -name lattice.pc)")
  export PKG_CONFIG_PATH=$pc_folder
  read -ra flags <<<"$(pkg-config --cflags --libs lattice lattice_io)"
  library_folder=$(pkg-config --variable=libdir lattice)
  "${CC:-gcc}" -std=c11 -Wall -Wextra -Wpedantic -Werror "$here/consumer_c.c" -o "$work/pc_c" "${flags[@]}"
  "${CXX:-g++}" -std=c++17 -Wall -Wextra -Wpedantic -Werror "$here/consumer_cxx.cpp" -o "$work/pc_cxx" "${flags[@]}"
  LD_LIBRARY_PATH=$library_folder "$work/pc_c"
  LD_LIBRARY_PATH=$library_folder "$work/pc_cxx"

  step "examples/quickstart.c on liblattice alone"
  read -ra core_flags <<<"$(pkg-config --cflags --libs lattice)"
  "${CC:-gcc}" -std=c11 -Wall -Wextra -Wpedantic -Werror "$source_root/examples/quickstart.c" -o "$work/quickstart" "${core_flags[@]}" -lm
  LD_LIBRARY_PATH=$library_folder "$work/quickstart" >"$work/quickstart.txt"
  grep -q "z column 0: 48 64 64 48" "$work/quickstart.txt"

  step "the example of README.md, on a scan of eight points"
  # shellcheck disable=SC2016 # the backticks are those of Markdown
  sed -n '/^```c$/,/^```$/p' "$source_root/README.md" | grep -v '^```' >"$work/readme.c"
  "${CC:-gcc}" -std=c11 -Wall -Wextra -Werror "$work/readme.c" -o "$work/readme" "${flags[@]}"
  {
    printf 'ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\nend_header\n'
    for i in 0 1 2 3 4 5 6 7; do echo "0.$((i))5 0.05 0.05"; done
  } >"$work/line.ply"
  [ "$(LD_LIBRARY_PATH=$library_folder "$work/readme" "$work/line.ply")" = "8 voxels, 4 after pooling" ]
else
  step "skipped: no pkg-config"
fi

if [ -x "$prefix/bin/lattice" ]; then
  step "the installed program finds its libraries, also from another place"
  mv "$prefix" "$work/moved"
  "$work/moved/bin/lattice" --help >/dev/null
fi
step "done"
