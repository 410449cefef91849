# `make demo` and `make test` need Python 3.11 or newer and make; they set up .venv themselves.

# Options for pip, e.g. PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=

# Set PYTHON to choose the interpreter; otherwise the first suitable one is taken.
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.installed-core
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint format tables clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /\1 - /'

demo: $(CORE) ## Tell a small model facts, close it, and ask in a new process
	$(BIN)/nestling demo

test: lint ## All checks: style, imports, types, tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(DEV) ## Style, one-way imports and types, without the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

format: $(DEV) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tables: $(DEV) ## Regenerate the tables in README and docs from results/*.json
	$(BIN)/nestling results tables

clean: ## Remove the environment, builds and caches
	rm -rf $(VENV) build dist src/*.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

# Keeps an environment that works; otherwise makes one with the first Python that is new enough.
# A name on PATH is not enough (it may be a shim for a version that is absent): each one is run.
define ensure_venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && exit 0; \
	for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "Creating $(VENV) with $$("$$candidate" --version)"; \
		"$$candidate" -m venv --clear $(VENV) && exit 0; \
		rm -rf $(VENV); \
		echo "error: '$$candidate -m venv' failed (above). On Debian or Ubuntu: apt install python3-venv" >&2; \
		exit 1; \
	done; \
	echo "error: no Python 3.11 or newer (tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3))." >&2; \
	echo "Found: $$(python3 --version 2>&1 || true)" >&2; \
	echo "Install one from https://www.python.org/downloads/ or say which: make PYTHON=/path/to/python" >&2; \
	exit 1
endef

$(CORE): pyproject.toml
	$(ensure_venv)
	$(BIN)/python -m pip install $(PIP_ARGS) -e .
	@touch $@

# The development install holds the core one too.
$(DEV): pyproject.toml
	$(ensure_venv)
	$(BIN)/python -m pip install $(PIP_ARGS) -e '.[dev,figures]'
	@touch $(CORE) $@
