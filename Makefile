# Stage-1 Pro: every command that a person, a hook or CI needs. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo stack test test-fast test-slow check schemas docs clean

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# A closed network must not fill the log, and a test must not fall back to a hub.
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt requirements-scenes.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-scenes.txt
	touch $(READY)

demo: $(READY) ## render road scenes, train, certify, release and register a first bundle
	$(BIN)/stage1 demo

stack: $(READY) ## start databases, servers and workers on this machine, until Ctrl-C
	$(BIN)/stage1 stack

test: test-fast test-slow ## run all tests

test-fast: $(READY) ## unit, contract and integration tests
	$(BIN)/python -m pytest -m 'not slow' -n 2

test-slow: $(READY) ## guarantees counted, processes killed, reports opened in Chromium, real servers
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

check: $(READY) ## formatting, lint, types, import contracts, schemas
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict stage1_core tasks flows stage1_cli deployments
	$(BIN)/lint-imports
	$(BIN)/python -m stage1_core.bundle.schemas --check

schemas: $(READY) ## write the JSON schemas from the models
	$(BIN)/python -m stage1_core.bundle.schemas

docs: $(READY) ## build the documentation; warnings are errors
	$(BIN)/mkdocs build --strict --quiet --site-dir build/docs

clean: ## remove everything that can be made again, but not artifacts/
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
