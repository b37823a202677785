#!/usr/bin/env bash
# Lays the Arm build of the libraries that the tests need into build/aarch64-sysroot. The packages are fetched with apt
# into folders of our own: the machine's package state is not touched and no root is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD/build/aarch64-sysroot
packages=(libcmocka0 libcmocka-dev libpng16-16 libpng-dev zlib1g zlib1g-dev libjansson4 libjansson-dev)
# (Default Ubuntu servers carry no Arm packages: there the fetch fails, and CI names the stage as skipped.)
[ -e "$root/done" ] && exit 0

apt_dir=$root/apt
rm -rf "$root"
mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial" "$apt_dir/debs"
: >"$apt_dir/status"
options=(-o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o "Dir::State=$apt_dir" -o "Dir::State::Lists=$apt_dir/lists"
  -o "Dir::State::status=$apt_dir/status" -o "Dir::Cache=$apt_dir/cache" -o APT::Sandbox::User=)
apt-get "${options[@]}" -qq update
(cd "$apt_dir/debs" && apt-get "${options[@]}" -qq download "${packages[@]}")
for deb in "$apt_dir"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
rm -rf "$apt_dir"
touch "$root/done"
