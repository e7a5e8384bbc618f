# Two commands do all set-up themselves: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE
# uv trusts the system's certificates, as pip does: behind a proxy with a certificate of its own it would reach nothing else.
export UV_NATIVE_TLS ?= 1

PYTHON ?= python3
UV := .uv/bin/uv
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Python 3.12 says itself which lines run (sys.monitoring), which costs little; 3.11 has to trace each one.
COVERAGE = $(shell $(BIN)/python -c 'import sys; print("--cov --cov-report=" if sys.version_info >= (3, 12) else "")')
# Three on two cores: the tests often wait, for a server or a daemon.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
LONG_PARTS = $(shell grep -rl --include='test_*.py' 'mark\.long' tests | cut -d/ -f2 | sort -u)

.PHONY: help install demo dev test tests coverage debian lint docs docs-serve long bench lock clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## install the locked dependencies into .venv

# --target asks nothing of the system's Python but pip: no venv module, no write outside this folder.
$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target .uv 'uv>=0.9,<1'

$(INSTALLED): requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV)
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	@touch $@

demo: install  ## replay eleven months of New York flights down the whole path
	$(BIN)/ml-assets demo

dev: install  ## Dagster UI and daemon, MLflow UI and the production endpoint, until Ctrl-C
	$(BIN)/ml-assets dev

# Lint beside the tests: they often wait, for a server or a daemon, and leave it nearly a core.
test: install debian  ## lint, types, import contract, tests, the documentation's links
	@$(MAKE) --no-print-directory --jobs 2 lint tests docs

tests: install
	$(if $(COVERAGE),COVERAGE_CORE=sysmon) $(PYTEST) $(COVERAGE)
	@$(if $(COVERAGE),echo "coverage: $$($(BIN)/coverage report --format=total) % of lines")

coverage: install debian  ## the tests again, with the lines that none of them runs
	$(if $(COVERAGE),COVERAGE_CORE=sysmon) $(PYTEST) --cov --cov-report=term-missing:skip-covered

# What tests drive of Debian: a browser for pages, PostgreSQL for the ledger, Redis for workers, curl for the README. Asks for root only when something is missing.
debian:
	@missing=; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v chromedriver >/dev/null || missing="$$missing chromium-driver"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing; \
	fi

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# --strict: a link, an anchor or a page of the navigation that is not there fails the build. NO_MKDOCS_2_WARNING leaves out what its makers announce.
docs: install  ## build the documentation's site into build/site; a broken link fails
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict

docs-serve: install  ## show the documentation on http://127.0.0.1:8000 while it is written
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs serve --strict

# Each test is named as it ends and each part shows its tracebacks, so a run that is cut off has said what failed until then.
long: install debian  ## the longer suites, part by part, with printed seeds; PART=cli runs those of tests/cli
	@trap 'exit 130' INT; failed=; \
	for part in $(or $(PART),$(LONG_PARTS)); do \
	  echo "== $$part"; \
	  $(BIN)/python -m pytest -m long -vv -rf --timeout 900 tests/$$part || failed="$$failed $$part"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

bench: install  ## time per stage, and the path against a plain script
	$(BIN)/python -m benchmarks

lock: $(UV)  ## resolve pyproject.toml again into requirements.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  --group dev --extra demo --extra openlineage --output-file requirements.lock pyproject.toml
	$(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.12 --python-platform linux \
	  --constraint requirements.lock --extra postgres --extra s3 --extra celery --output-file deploy/requirements.lock pyproject.toml deploy/requirements.in

clean:  ## remove what the project made in this folder, but not its home
	rm -rf $(VENV) .uv build *.egg-info .coverage .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
