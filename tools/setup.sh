#!/usr/bin/env bash
# Installs what a step needs and the machine lacks, with apt (and sudo when not root), saying what and why.
# Says nothing when everything is there.
#
# usage: tools/setup.sh build     the library, the program, the tests (Makefile)
#        tools/setup.sh lint      formatter, shell checker
#        tools/setup.sh clang     clang with sanitizers and libFuzzer
#        tools/setup.sh analysis  clang-tidy, cppcheck
#        tools/setup.sh python    fresh Python environments
#        tools/setup.sh valgrind, tools/setup.sh coverage
#        tools/setup.sh avx512    emulator of a CPU with AVX-512
#        tools/setup.sh aarch64   cross compiler and emulator
set -euo pipefail

# Lines "what must be there | package | why": what is a command, a header, or a library marked with @.
needs() {
  case $1 in
    build) cat <<'END' ;;
gcc|gcc|compiles the library
g++|g++|compiles the C++ consumer among the tests
cmake|cmake|configures the build
ninja|ninja-build|runs the build
make|make|the front of the build
pkg-config|pkg-config|finds libraries, and tests our own .pc files
python3|python3|runs the source checks
cmocka.h|libcmocka-dev|the test framework
png.h|libpng-dev|writes pictures
zlib.h|zlib1g-dev|needed by libpng
jansson.h|libjansson-dev|headers of safetensors files, JSON output of the program
END
    lint) cat <<'END' ;;
clang-format|clang-format|checks the code style
shellcheck|shellcheck|checks the shell scripts
g++|g++|checks that the headers compile as C++
python3|python3|runs the source checks
END
    clang) cat <<'END' ;;
clang|clang|compiles with sanitizers and libFuzzer
llvm-symbolizer|llvm|names functions in sanitizer reports
END
    analysis) cat <<'END' ;;
clang-tidy|clang-tidy|static analysis
cppcheck|cppcheck|static analysis
END
    python) cat <<'END' ;;
python3|python3|runs the package
@venv|python3-venv|fresh environments for its tests
git|git|makes a clean copy
END
    valgrind) echo 'valgrind|valgrind|finds memory errors without instrumentation' ;;
    coverage) echo 'lcov|lcov|reports coverage' ;;
    aarch64) cat <<'END' ;;
aarch64-linux-gnu-gcc|gcc-aarch64-linux-gnu|compiles for 64-bit Arm
aarch64-linux-gnu-gcc|libc6-dev-arm64-cross|the C library for it
qemu-aarch64-static|qemu-user-static|runs what was compiled
END
    avx512) cat <<'END' ;;
bochs-bin|bochs|emulates a CPU with AVX-512
@bochs-term|bochs-term|its display
busybox|busybox-static|the programs of the emulated machine
xorriso|xorriso|makes its disk
cpio|cpio|makes its file system
script|bsdutils|gives the display a terminal
@isolinux|isolinux|boots it
@isolinux|syslinux-common|boots it
@vgabios|vgabios|boots it
END
    *) return 1 ;;
  esac
}

has_header() {
  local compiler
  compiler=$(command -v gcc || command -v cc || command -v clang) || return 1
  echo "#include <$1>" | "$compiler" -E -x c - >/dev/null 2>&1
}

present() {
  case $1 in
    @bochs-term) compgen -G '/usr/lib/*/bochs/plugins/libbx_term_gui.so' >/dev/null ;;
    @isolinux) [ -e /usr/lib/ISOLINUX/isolinux.bin ] && [ -e /usr/lib/syslinux/modules/bios/ldlinux.c32 ] ;;
    @vgabios) [ -e /usr/share/bochs/VGABIOS-lgpl-latest ] ;;
    *.h) has_header "$1" ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

old_cmake() {
  local version
  version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
  [ -n "$version" ] && [ "$(printf '%s\n3.22\n' "$version" | sort -V | head -n 1)" != 3.22 ]
}

main() {
  local group=${1:-build} list what package why
  local packages=()
  list=$(needs "$group") || { echo "setup: unknown group '$group'" >&2; exit 2; }
  while IFS='|' read -r what package why; do
    present "$what" && continue
    packages+=("$package")
    echo "setup: $package is missing ($why)"
  done <<<"$list"
  if [ ${#packages[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "setup: no apt-get here: install the packages above by hand, then try again" >&2; exit 1; }
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      command -v sudo >/dev/null || {
        echo "setup: neither root nor sudo: ask an administrator for: apt-get install ${packages[*]}" >&2
        exit 1
      }
      as_root=(sudo)
    fi
    echo "setup: installing with ${as_root[*]:+sudo }apt-get: ${packages[*]}"
    # apt is chatty: its output is shown only when it fails.
    local log
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 </dev/null; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      echo "setup: apt-get failed (its last lines are above)" >&2
      exit 1
    fi
    rm -f "$log"
    echo "setup: done"
  fi
  if [ "$group" = build ] && old_cmake; then
    echo "setup: cmake is older than 3.22, which the build needs (Debian 12, Ubuntu 22.04 or later have it)" >&2
    exit 1
  fi
}

main "$@"
