# The jobs of this repository. They need make and Python 3.11 or newer and nothing else beforehand: what they use is
# installed into .venv, exactly as requirements/*.txt say.

.DEFAULT_GOAL := help
.PHONY: help run emulate test lint format lock clean python

# Python 3.11 is what flies, so it is tried first. A Python without ensurepip (Debian splits it off) cannot make .venv.
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON = $(firstword $(foreach name,python3.11 python3 python3.12 python3.13 python3.14,\
	$(shell $(name) -c '$(FITS)' 2>/dev/null && echo $(name))))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
INSTALL := $(PIP) --require-hashes --only-binary :all: --requirement
UV := uv
LOCK = $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock"

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

run: .venv/project.stamp ## fly the demonstration batch and show what came out
	$(BIN)/python scripts/demo.py

emulate: .venv/project.stamp ## be the host controller of an emulated Pi: upload, start, stream, fetch, stop
	$(BIN)/python scripts/pycubed_emulator.py data/demo --live-min 10 --speed 60

test: .venv/development.stamp ## run all tests
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

lint: .venv/development.stamp ## check style, types and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/development.stamp ## put the code into the common form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## renew requirements/*.txt after a change in pyproject.toml (needs uv; pins that still fit stay)
	$(LOCK) --output-file requirements/flight.txt
	$(LOCK) --output-file requirements/ground.txt --extra ground --group build \
		--constraint requirements/flight.txt
	$(LOCK) --output-file requirements/development.txt --all-extras --group build --group dev \
		--constraint requirements/ground.txt

clean: ## remove .venv and everything else that was made here
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python: ## print the Python that .venv is made with
	@$(or $(PYTHON),false) -c '$(FITS)' 2>/dev/null || { echo "Python 3.11 or newer with its venv module is needed: install python3.11 and" \
		"python3.11-venv, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo $(PYTHON)

# Each stamp is newer than what it was made from; a changed lock makes a fresh environment.
.venv/ground.stamp: requirements/ground.txt
	@$(MAKE) --silent python
	@echo "Making .venv: flight and ground libraries."
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) $<
	@touch $@

.venv/project.stamp: pyproject.toml .venv/ground.stamp
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/development.stamp: requirements/development.txt .venv/project.stamp
	@echo "Adding to .venv: libraries for tests and checks."
	$(INSTALL) $<
	@touch $@
