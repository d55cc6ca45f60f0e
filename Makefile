# Development commands. They need make and Python 3.11 or newer; everything else is installed into .venv in the versions
# that requirements/*.txt pin.

.DEFAULT_GOAL := help
.PHONY: help run emulate test test-slow test-all faults radiation explore fuzz fuzz-recordings coverage readers docs pictures frontend lint format lock \
	release release-files installations audit clean python

# Python 3.11 flies, so it is tried first. Debian packages ensurepip separately; .venv cannot be created without it.
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON = $(firstword $(foreach name,python3.11 python3 python3.12 python3.13 python3.14,\
	$(shell $(name) -c '$(FITS)' 2>/dev/null && echo $(name))))
BIN := .venv/bin
# Without bytecode on disk every test worker and every program that tests start compiles all sources again.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
INSTALL := $(PIP) --require-hashes --only-binary :all: --requirement
RELEASE := .venv/release/bin/python -m
PROOF := .venv/proof/bin/python
ARCHITECTURES = $(if $(DEBIAN),--debian $(DEBIAN))
UV := uv
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock"

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: .venv/project.stamp ## fly the demonstration batch, replay it and print the path of the report
	@# Without npm or its registry, the report has no player, and says so.
	@if command -v npm >/dev/null; then $(BIN)/python -m scripts.build_frontend || true; fi
	$(BIN)/pygnc demo --out build/demo

emulate: .venv/project.stamp ## emulate a host controller and a Pi: upload, start, stream, download, stop
	$(BIN)/python scripts/pycubed_emulator.py data/demo --live-min 10 --speed 60

PYTEST = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest
# Tests wait for processes, lines and clocks: four workers leave a fifth of two cores idle.
WORKERS := -n 6 --dist loadgroup
# Each worker takes seconds to collect all tests, so only the files with these few tests are collected, by one process.
ALONE = $(PYTEST) -m alone $$(grep --recursive --files-with-matches --include='*.py' 'mark\.alone' tests)

test: .venv/development.stamp ## run the tests, except those marked slow
	$(PYTEST) $(WORKERS) -m "not slow"

test-slow: .venv/development.stamp ## run the slow tests: builds, browsers, server processes, long series
	$(ALONE)
	$(PYTEST) $(WORKERS) -m "slow and not alone"

# One run for the fast and the slow tests collects them once and makes the fixtures that they share once. What fails
# beside other tests is repeated alone, because the limits of time of real processes do not hold on any busy machine.
AGAIN = $(PYTEST) --last-failed --last-failed-no-failures none --maxfail 3

test-all: .venv/development.stamp ## run all tests; SLOW_PART=0/2 runs only this part of the slow ones
	$(ALONE) || $(AGAIN)
	$(PYTEST) $(WORKERS) -m "not alone" $(addprefix --slow-part=,$(SLOW_PART)) || $(AGAIN)

faults: .venv/development.stamp ## run the fault campaign; ARGS="--minutes 60" continues with further seeds
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.faults.campaign $(ARGS)

explore: .venv/development.stamp ## explore all orders of faults on the line to the host, and of tasks, within bounds
	$(BIN)/python -m tests.exploration.campaign $(ARGS)

fuzz: .venv/proof/stamp ## fuzz the parsers of the flight; ARGS="--runs 10000000 --seed 7 status" does more
	$(PROOF) -m tests.fuzz $(ARGS)

fuzz-recordings: .venv/development.stamp ## read 1000 recordings with wrong values of each family of devices
	PYTHONPATH=. $(BIN)/python -W error scripts/bench/bench_recordings.py $(ARGS)

FLIGHT_TESTS := $(addprefix tests/,fuzz pygnc pygnc_system pygnc_devices pygnc_cli e2e)

# The measurement slows flights down; a test that fails for it does not prevent the report.
coverage: .venv/proof/stamp ## measure which branches of the flight software the tests cover; ARGS=PATHS selects tests
	rm -rf build/coverage
	-OPENBLAS_NUM_THREADS=1 $(PROOF) -m coverage run -m pytest -m "not slow" $(or $(ARGS),$(FLIGHT_TESTS))
	$(PROOF) -m coverage combine --quiet
	$(PROOF) -m scripts.report_coverage

radiation: .venv/development.stamp ## flip bits in memory, state and files; ARGS="--trials 2000" for more of each kind
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.faults.radiation $(ARGS)

readers: .venv/readers/stamp ## read every export back by other implementations (needs Java)
	$(BIN)/python -m scripts.bench.bench_exports .venv/readers/bin/python

docs: .venv/docs.stamp ## build the documentation site in build/docs, without network; NOTEBOOKS="NAME ..." executes only these
	$(BIN)/python -m scripts.documentation.build --out build/docs $(if $(NOTEBOOKS),--notebooks $(NOTEBOOKS))

frontend: .venv/ground.stamp ## collect the JavaScript libraries of the pages in data/frontend (needs npm)
	$(BIN)/python -m scripts.build_frontend

lint: .venv/development.stamp ## check style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/development.stamp ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## update requirements/*.txt after a change in pyproject.toml (needs uv; valid pins are kept)
	$(LOCK) pyproject.toml --output-file requirements/flight.txt
	$(LOCK) pyproject.toml --output-file requirements/ground.txt --extra ground --group build \
		--constraint requirements/flight.txt
	$(BIN)/python -m scripts.build_distributions --libraries pygnc-station --extras accounts | $(LOCK) - \
		--output-file requirements/station.txt --constraint requirements/ground.txt
	$(BIN)/python -m scripts.build_distributions --libraries pygnc-station --extras accounts alerts cloud | $(LOCK) - \
		--output-file requirements/container.txt --constraint requirements/station.txt
	$(LOCK) --output-file requirements/build.txt --group build --constraint requirements/ground.txt
	$(LOCK) pyproject.toml --output-file requirements/development.txt --all-extras --group build --group dev \
		--constraint requirements/ground.txt
	$(LOCK) --output-file requirements/release.txt --group release --constraint requirements/development.txt
	$(LOCK) --output-file requirements/proof.txt --group proof --constraint requirements/development.txt
	$(LOCK) --output-file requirements/readers.txt --group readers --constraint requirements/development.txt
	$(LOCK) --output-file requirements/docs.txt --group docs --constraint requirements/development.txt

# CI_RECORD=FILE names another record of .ci/run, ADVISORIES=PATH lets the release check the locks, DEBIAN=amd64 builds
# Debian packages for fewer architectures, and INSTALLATIONS=none does not try the distributions out.
release: .venv/development.stamp .venv/release/stamp ## make the release VERSION=x.y.z: docs/release.md
	$(RELEASE) scripts.release "$$VERSION" --python $(BIN)/python \
		$(if $(CI_RECORD),--ci-record "$(CI_RECORD)") $(if $(ADVISORIES),--advisories "$(ADVISORIES)") $(ARCHITECTURES) \
		$(if $(INSTALLATIONS),--installations $(INSTALLATIONS))

release-files: .venv/development.stamp .venv/release/stamp ## build the files of a release from this tree in build/files
	rm -rf build/files
	$(RELEASE) scripts.release.files --out build/files --python $(BIN)/python $(ARCHITECTURES)

installations: .venv/development.stamp ## install each distribution and do its main job; ARGS="--python 3.13 JOB..." for some
	$(BIN)/python -m scripts.check_installation $(ARGS)

audit: .venv/release/stamp ## check the locks against the OSV records in ADVISORIES=PATH
	$(RELEASE) scripts.release.advisories "$(ADVISORIES)"

pictures: .venv/development.stamp ## let the tests renew the pictures of the documentation
	PYGNC_PICTURES=1 $(PYTEST) -m slow tests/pygnc_ground/report/player/test_demonstration_page.py \
		tests/pygnc_station/server/test_page.py -k "shows_the_part or month_of_many"

clean: ## remove .venv and all generated files
	rm -rf .venv build data/frontend dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python: ## print the Python that .venv uses
	@$(or $(PYTHON),false) -c '$(FITS)' 2>/dev/null || { echo "Python 3.11 or newer with the venv module not found: install python3.11 and" \
		"python3.11-venv, or select one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo $(PYTHON)

# A changed lock file creates a new environment.
.venv/ground.stamp: requirements/ground.txt
	@$(MAKE) --silent python
	@echo "Creating .venv with the flight and ground libraries."
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) $<
	@touch $@

.venv/project.stamp: pyproject.toml .venv/ground.stamp
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/development.stamp: requirements/development.txt .venv/project.stamp
	@echo "Installing the libraries for tests and checks into .venv."
	$(INSTALL) $<
	@touch $@

.venv/docs.stamp: requirements/docs.txt .venv/project.stamp
	@echo "Installing the libraries for the documentation into .venv."
	$(INSTALL) $<
	@touch $@

.venv/release/stamp: requirements/release.txt
	@$(MAKE) --silent .venv/ground.stamp
	@echo "Installing the tools for releases into .venv/release."
	$(BIN)/python -m venv --clear .venv/release
	$(BIN)/python -m pip --python .venv/release --disable-pip-version-check install --quiet --require-hashes \
		--only-binary :all: --requirement $<
	@touch $@

.venv/readers/stamp: requirements/readers.txt .venv/project.stamp
	@echo "Installing other readers of our exports into .venv/readers."
	$(BIN)/python -m venv --clear .venv/readers
	$(BIN)/python -m pip --python .venv/readers --disable-pip-version-check install --quiet --require-hashes \
		--only-binary :all: --requirement $<
	@touch $@

# It uses the libraries of .venv too. coverage measures processes by a file in its own environment.
.venv/proof/stamp: requirements/proof.txt .venv/development.stamp
	@echo "Installing the tools for fuzzing and coverage into .venv/proof."
	$(BIN)/python -m venv --clear .venv/proof
	$(BIN)/python -m pip --python .venv/proof --disable-pip-version-check install --quiet --require-hashes \
		--only-binary :all: --requirement $<
	$(BIN)/python -c 'from sysconfig import get_path; print("import site; site.addsitedir(%r)" % get_path("purelib"))' \
		>"$$($(PROOF) -c 'from sysconfig import get_path; print(get_path("purelib"))')/development.pth"
	@touch $@
