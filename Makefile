# `make demo` runs the example and draws its figure; `make test` runs every test. Both set up what they need.
# Other Pythons: make test PYTHON=python3.12 VENV=/tmp/py312. More for pytest: make test ARGS="-k sharing".

PYTHON ?= python3
VENV ?= .venv
HTA ?= .venv-hta
DIST ?= dist
SCENARIO ?= scenarios/ep64_tp2_pp1.yaml
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUNTIME := $(VENV)/.runtime-ready
DEV := $(VENV)/.dev-ready
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
UV := uv==0.13.9

.DELETE_ON_ERROR:
.PHONY: setup setup-dev demo docs test hta lint types contract notebooks wheel lock goldens pictures bench clean

setup: $(RUNTIME)
setup-dev: $(DEV)

demo: $(RUNTIME)
	@mkdir -p out
	$(BIN)/simcluster run $(SCENARIO)
	$(BIN)/simcluster plot $(SCENARIO) --kind utilization -o out/utilization.png
	@echo "The figure is $(CURDIR)/out/utilization.png"

test: $(DEV)
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(ARGS)

# HolisticTraceAnalysis on our traces.  It weighs half a gigabyte, so it has an environment of its own.
hta: $(DEV) $(HTA)/.ready
	SIMCLUSTER_HTA_PYTHON=$(abspath $(HTA)/bin/python) $(BIN)/python -m pytest -m hta tests/report/test_trace_hta.py $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy simcluster tests tools benchmarks

contract: $(DEV)
	$(BIN)/lint-imports

notebooks: $(DEV)
ifeq ($(NOTEBOOKS),)
	@echo "There are no notebooks yet."
else
	$(BIN)/nbstripout --verify --keep-id $(NOTEBOOKS)
	$(BIN)/jupyter-execute --timeout=600 $(NOTEBOOKS)
endif

# The site, in out/docs; its pages under docs/reference are written from the code first.
docs: $(DEV)
	$(BIN)/python -m tools.reference
	$(BIN)/mkdocs build --strict --quiet
	@echo "The site's first page is $(CURDIR)/out/docs/index.html"

wheel: $(DEV)
	$(BIN)/python -m build --wheel --no-isolation --outdir $(DIST) .

# Keeps the pins that still fit. `make lock ARGS=--upgrade` takes the newest of everything.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)
lock: | $(BIN)/pip
	$(PIP) install "$(UV)"
	$(COMPILE) pyproject.toml --group build --output-file requirements.lock
	$(COMPILE) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) --group hta --output-file requirements-hta.lock

pictures: $(DEV)
	$(BIN)/python -m tests.report.draw_all

goldens: $(DEV)
	$(BIN)/python -m tools.goldens

bench: $(RUNTIME)
	$(BIN)/python benchmarks/run.py $(ARGS)
	$(BIN)/python benchmarks/scale.py

clean:
	rm -rf .venv .venv-hta dist out .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------------- the set-up

$(RUNTIME): pyproject.toml requirements.lock | $(BIN)/pip
	$(PIP) install --require-hashes --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q simcluster  # else every run compiles it where Python is told to keep no bytecode
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

$(HTA)/.ready: requirements-hta.lock | $(BIN)/pip
	$(BIN)/python -m venv $(HTA)
	$(HTA)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements-hta.lock
	@touch $@

# Debian keeps ensurepip, which a virtual environment needs, in a package of its own.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "simcluster needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install python3-venv; } </dev/null || true
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make a virtual environment: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
