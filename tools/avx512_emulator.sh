#!/usr/bin/env bash
# Runs test programs at the AVX-512 level on a machine without it: Bochs emulates a whole Skylake-X that boots Debian's small
# kernel with the programs in its initial file system. Slow (tens of MIPS), exact, and made of distribution packages only.
#
# usage: tools/avx512_emulator.sh WORK_FOLDER TIMEOUT_SECONDS PROGRAM...
# Ends with 0 when every test passed, known faults of the emulator aside, and the emulated CPU had the level.
set -euo pipefail
# Bochs 2.7 rounds ties of vcvtps2ph away from zero, also in the AVX2 form that is right on real machines: tests that narrow
# ties to float16 fail there.
known_faults='finish_rows_f16'
work=$1
limit=$2
shift 2
mkdir -p "$work"
work=$(cd "$work" && pwd)

fetch_kernel() {
  [ -e "$work/vmlinuz" ] && return 0
  local package
  package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
  [ -n "$package" ] || { echo "avx512_emulator: no kernel package here" >&2; return 1; }
  (cd "$work" && apt-get -qq -o APT::Sandbox::User= download "$package")
  dpkg -x "$work/$package"_*.deb "$work/kernel"
  cp "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"
  rm -rf "$work/kernel" "$work/$package"_*.deb
}

make_image() { # programs...
  local root=$work/root iso=$work/iso library
  rm -rf "$root" "$iso"
  mkdir -p "$root"/{bin,proc,dev,tmp,tests} "$iso"
  cp "$(command -v busybox)" "$root/bin/busybox"
  cp "$@" "$root/tests/"
  while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done < <(ldd "$@" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u)
  cat >"$root/init" <<'END'
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t devtmpfs dev /dev
export LATTICE_CPU_LEVEL=avx512
if $bb grep -qw avx512vl /proc/cpuinfo; then echo "CPU has avx512vl"; fi
for program in /tests/*; do
  $program >/tmp/out 2>&1
  code=$?
  if [ $code != 0 ]; then $bb grep -E 'ERROR|FAILED' /tmp/out; fi
  $bb grep 'level avx512' /tmp/out
  echo "EXIT $code ${program#/tests/}: $($bb grep PASSED /tmp/out)"
done
echo "END OF TESTS"
while true; do $bb sleep 1000; done
END
  chmod +x "$root/init"
  (cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$iso/initrd.gz"
  cp "$work/vmlinuz" /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$iso/"
  # clearcpuid, XSAVEC and XSAVES: the emulated CPU states another size for compacted registers than the kernel finds, which would turn AVX off.
  cat >"$iso/isolinux.cfg" <<'END'
default tests
prompt 0
label tests
 kernel vmlinuz
 append initrd=initrd.gz console=ttyS0 quiet clearcpuid=321,323 nokaslr mitigations=off random.trust_cpu=on
END
  xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$iso"
}

start_machine() { # sets `machine` to the emulator's process group
  cat >"$work/bochsrc" <<'END'
megs: 1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=boot.iso, status=inserted
boot: cdrom
cpu: model=corei7_skylake_x, count=1, ips=100000000
com1: enabled=1, mode=file, dev=serial.txt
display_library: term
speaker: enabled=0
clock: sync=none
log: bochs.log
panic: action=fatal
END
  echo c >"$work/go" # the packaged emulator has a debugger, which waits for "continue"
  : >"$work/serial.txt"
  # The text display wants a terminal: script gives it one.
  (cd "$work" && TERM=xterm exec setsid timeout "$limit" script -qefc "bochs -q -f bochsrc -rc go" /dev/null >screen.txt 2>&1 </dev/null) &
  machine=$!
}

stop_machine() {
  local child
  for child in $(pgrep -P "$machine") "$machine"; do kill "$child" 2>/dev/null || true; done
  pkill -g "$machine" 2>/dev/null || true
  wait "$machine" 2>/dev/null || true
}

fetch_kernel
make_image "$@"
start_machine
trap stop_machine EXIT
while kill -0 "$machine" 2>/dev/null && ! grep -q 'END OF TESTS' "$work/serial.txt"; do sleep 2; done
tr -d '\r' <"$work/serial.txt" >"$work/report.txt"
grep -E '^(CPU|EXIT|checkasm)|FAILED|ERROR' "$work/report.txt" || true
grep -q 'CPU has avx512vl' "$work/report.txt" || { echo "avx512_emulator: the emulated CPU lacks avx512vl"; exit 1; }
grep -q 'END OF TESTS' "$work/report.txt" || { echo "avx512_emulator: not done within $limit s"; exit 1; }
# A program's exit status is the number of its failed tests.
failed=$(sed -n 's/^EXIT \([0-9]*\) .*/\1/p' "$work/report.txt" | awk '{ n += $1 } END { print n + 0 }')
known=$(sed -n 's/^\[  FAILED  \] \([a-z_0-9]*\)$/\1/p' "$work/report.txt" | sort -u | grep -cxE "$known_faults" || true)
echo "avx512_emulator: $# programs, $failed failed tests, of them $known known faults of the emulator"
[ "$failed" -eq "$known" ]
