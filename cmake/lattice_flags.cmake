# Compiler flags of the whole build, and the extra ones of the files that are compiled per CPU level.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo or Debug" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g") # assertions stay on: the build type of tests

# No contraction: a*b+c may not become an fma behind our back, because float32 results are the same bits at every level.
add_compile_options(-ffp-contract=off -fno-math-errno -Wall -Wextra)
# C11 alone hides POSIX; written as the files themselves would write it, so that both may appear.
add_compile_definitions(_DEFAULT_SOURCE=)
if(LATTICE_WERROR)
  add_compile_options(-Werror)
endif()

set(lattice_strict_warnings -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
                            -Wwrite-strings -Wundef)
set(lattice_shared_link_options -Wl,--as-needed)

if(LATTICE_SANITIZE)
  add_compile_options(-fsanitize=${LATTICE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${LATTICE_SANITIZE})
else()
  # The sanitizers' run-time is linked into programs only, so their symbols are open in a shared library.
  list(APPEND lattice_shared_link_options -Wl,-z,defs)
endif()
if(LATTICE_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "LATTICE_FUZZ needs clang (libFuzzer); set CMAKE_C_COMPILER=clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link -g)
endif()
if(LATTICE_COVERAGE)
  add_compile_options(--coverage -g)
  add_link_options(--coverage)
endif()

# Only these files may contain instructions that the base machine lacks; the registry calls into them after asking the
# CPU. Built for another machine they collapse to empty tables, so they stay in the list of sources.
function(lattice_set_level_flags)
  set(avx2_flags -mavx2 -mfma -mf16c -mbmi2 -mpopcnt)
  set(avx512_flags -mavx512f -mavx512bw -mavx512dq -mavx512vl ${avx2_flags} -mprefer-vector-width=512)
  # The addresses of a tile's rows look alike, and gcc would compute them in vector registers and move each one back.
  set(common_flags -fno-tree-slp-vectorize)
  if(LATTICE_SANITIZE MATCHES "undefined")
    # On unrolled kernels these three take minutes to compile, and find nothing that address does not.
    list(APPEND common_flags -fno-sanitize=null,object-size,pointer-overflow)
  endif()
  foreach(source ${ARGN})
    set(flags ${common_flags})
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
      if(source MATCHES "/level_avx2\\.c$")
        list(APPEND flags ${avx2_flags})
      elseif(source MATCHES "/level_avx512\\.c$")
        list(APPEND flags ${avx512_flags})
      elseif(source MATCHES "/level_avx2_vnni\\.c$")
        list(APPEND flags ${avx2_flags} -mavxvnni)
      elseif(source MATCHES "/level_avx512_vnni\\.c$")
        list(APPEND flags ${avx512_flags} -mavx512vnni)
      elseif(source MATCHES "/level_avx512_bf16\\.c$")
        list(APPEND flags ${avx512_flags} -mavx512vnni -mavx512bf16)
      endif()
    elseif(source MATCHES "/level_neon_dot\\.c$" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
      list(APPEND flags -march=armv8.2-a+dotprod)
    endif()
    if(source MATCHES "/level_[a-z0-9_]+\\.c$" AND flags)
      set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${flags}")
    endif()
  endforeach()
endfunction()
