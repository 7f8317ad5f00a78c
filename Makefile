# The verbs of daily work. Each does its own set-up: nothing has to be installed first but git, make and Python 3.11.
# Extra words go in ARGS:  make test ARGS="-k upload -x"    make demo ARGS="--keep"

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP_TOOLS := pip-tools==7.6.2
LOCK := --quiet --generate-hashes --strip-extras --allow-unsafe --no-config --no-header --no-annotate \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
# Left out, as hatchling asks for it but our editable install is a plain .pth file.
LOCK += --build-deps-for wheel

.DEFAULT_GOAL := help
.PHONY: help setup setup-demo demo study-demo test soak lint format bench lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## virtual environment in .venv, locked packages, Debian packages (all verbs do this themselves)
	@$(PYTHON) -I tools/setup.py test

setup-demo:
	@$(PYTHON) -I tools/setup.py demo

demo: setup-demo ## the main job and a study on real recordings; writes demo-output/
	@$(BIN)/waykeep demo --output demo-output $(ARGS)

study-demo: setup-demo ## a study of 200 synthetic people who sleep; writes demo-output/
	@$(BIN)/waykeep study demo --output demo-output $(ARGS)

test: setup ## unit, integration and hostile tests
	@$(BIN)/python -m pytest $(ARGS)

soak: setup ## the long forms of tests
	@$(BIN)/python -m pytest -m soak --timeout 3600 -o faulthandler_timeout=3500 $(ARGS)

lint: setup ## ruff, mypy and the rules of the rooms
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: setup ## put the source into shape
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: setup ## benchmarks, as tables
	@$(BIN)/python -m benchmarks $(ARGS)

# Existing pins stay; `make lock ARGS=--upgrade` renews them all. The tool lives in a throwaway environment.
lock: ## pin what pyproject.toml asks for, with hashes
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(PYTHON) -I -m venv "$$tools"; \
	"$$tools/bin/python" -I -m pip --disable-pip-version-check --quiet install $(PIP_TOOLS); \
	compile="$$tools/bin/pip-compile $(LOCK) $(ARGS)"; \
	$$compile --output-file requirements.lock pyproject.toml; \
	$$compile --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml; \
	if grep -nE '://|^-|[ =]/' requirements.lock requirements-dev.lock; then \
		echo "error: a lock file names a host or a path" >&2; exit 1; fi

clean: ## remove everything that the verbs made
	@rm -rf .venv demo-output dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests tools benchmarks algorithms -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
