# Cross build for 64-bit Arm on a Debian or Ubuntu machine, tests run by qemu. The libraries that the distribution's
# cross compiler lacks (cmocka, jansson, libpng, zlib) lie in build/aarch64-sysroot, put there by tools/aarch64_sysroot.sh.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(lattice_sysroot "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-sysroot")
set(lattice_sysroot_lib "${lattice_sysroot}/usr/lib/aarch64-linux-gnu")
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH "${lattice_sysroot}" /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${lattice_sysroot_lib} -Wl,-rpath-link,${lattice_sysroot}/lib/aarch64-linux-gnu")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "${CMAKE_EXE_LINKER_FLAGS_INIT}")
set(CMAKE_CROSSCOMPILING_EMULATOR
    "qemu-aarch64-static;-L;/usr/aarch64-linux-gnu;-E;LD_LIBRARY_PATH=${lattice_sysroot_lib}:${lattice_sysroot}/lib/aarch64-linux-gnu")
