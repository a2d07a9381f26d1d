# `make quick` and `make test` need Python 3.11 or 3.12 and nothing else; both create .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
LINT := ruff check . && ruff format --check . && mypy && snakefmt --check Snakefile workflows && \
	snakemake --lint --quiet all --configfile workflows/config/smoke.yaml
TESTED := -c constraints.txt -c requirements/torch.txt
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE # every worker would rewrite the assertions of all tests

.PHONY: quick test test-gpu test-slurm test-faults lint install smoke clean

quick: install
	snakemake --cores $(CORES)

# The linters run beside the tests, most of which wait now and then.
test: install
	@( $(LINT) ) & linters=$$!; \
	python -m pytest -q -n $(CORES) --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$linters || { echo "a linter failed: see above, or make lint"; exit 1; }; exit $$tests

# Starts a real Slurm of one node from the system's packages, as root or by sudo, and stops it again.
test-slurm: install
	pip install -q $(TESTED) -e '.[dev,slurm]'
	HEADPRUNE_TEST_SLURM=1 python -m pytest -q tests/slurm

# What a GPU computes, against the CPU and against itself; then whole runs on it.
test-gpu: install
	HEADPRUNE_TEST_GPU=1 python -m pytest -q -n 4 tests/gpu tests/e2e --dist loadfile

# Kills the smoke profile twenty times at random moments, on this machine and through Slurm; broken profiles, for real.
test-faults: install
	pip install -q $(TESTED) -e '.[dev,slurm]'
	HEADPRUNE_TEST_FAULTS=1 HEADPRUNE_TEST_SLURM=1 python -m pytest -q -s tests/faults tests/e2e/test_tuning_runs.py

smoke: install
	snakemake --cores $(CORES) --configfile workflows/config/smoke.yaml

lint: install
	$(LINT)

install: .venv/installed

# torch first, in the tested version, then fairseq by hash, then the rest as constrained. All cores compile; pip takes one.
.venv/installed: pyproject.toml constraints.txt requirements/torch.txt requirements/fairseq.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --no-compile $(TESTED) torch
	$(BIN)/pip install -q --no-compile --no-deps --require-hashes -r requirements/fairseq.txt
	$(BIN)/pip install -q --no-compile $(TESTED) -e '.[dev]'
	$(BIN)/python -W ignore -m compileall -qq -j 0 .venv/lib || true
	touch $@

clean:
	rm -rf .venv results/quick results/smoke results/small .snakemake
