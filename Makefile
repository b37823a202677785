# A thin front over CMake. Everything is built under build/; results of the demo go to out/.
#   make demo [SCAN=file.bin|file.ply]   set up, build, run the network of the quickstart over a scan
#   make check                           set up, build, run the whole test suite
#   make bench [PROBLEMS="..."]          measure (docs/benchmarks.md); also options of `lattice bench`
#   make peers                           measure peers beside, installed under build/peers; ARGUMENTS of bench/peers/peers.py
#   make plots                           measure and draw time against channels, voxels and threads: out/plots/*.png
#   make install PREFIX=/usr/local       headers, libraries, program, CMake and pkg-config files
#   make generated                       write what is derived from the headers and tests again (docs/operations.md, docs/api/, Python's declarations)
#   make clean
PREFIX ?= /usr/local
SCAN ?=
PROBLEMS ?=
ARGUMENTS ?=
CMAKE_FLAGS ?=
CTEST_FLAGS ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: all demo check bench peers plots install generated clean setup release program dev

all: release

setup:
	@bash tools/setup.sh build

release: setup
	@cmake --preset release $(CMAKE_FLAGS) >build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@cmake --build build/release -j $(JOBS) $(TARGETS)

# The program and the libraries it stands on, which is also all that is installed.
program:
	@$(MAKE) --no-print-directory release TARGETS="--target lattice_cli"

dev: setup
	@cmake --preset dev $(CMAKE_FLAGS) >build/dev.log 2>&1 || { cat build/dev.log; exit 1; }
	@cmake --build build/dev -j $(JOBS)

demo: program
	@mkdir -p out
	@build/release/lattice demo $(if $(SCAN),--scan "$(SCAN)")

check: dev
	@ctest --test-dir build/dev -j $(JOBS) --output-on-failure $(CTEST_FLAGS)

generated:
	@python3 tools/operations.py
	@python3 tools/api_reference.py
	@python3 tools/python_cdef.py

bench: program
	@bash bench/run.sh build/release/lattice -- $(PROBLEMS)

peers: program
	@python3 bench/peers/peers.py $(ARGUMENTS)

plots: program
	@python3 bench/plot.py $(ARGUMENTS)

# `make && sudo make install` only copies as root.
install:
	@[ -x build/release/lattice ] || $(MAKE) --no-print-directory program
	@cmake --install build/release --prefix "$(PREFIX)"

clean:
	@rm -rf build out

setup release dev: | build
build:
	@mkdir -p build
