# Needs Python 3.11 and make. PYTHON names another interpreter; PORT another port.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

.PHONY: setup run test lint bench lock

run: .venv/run
	$(BIN)/darkroom serve --port $(PORT)

setup: .venv/dev

# Branch coverage of this process alone: the command and the render processes are tested from outside.
test: .venv/dev
	$(BIN)/pytest --cov --cov-report=term --cov-fail-under=90

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/cfn-lint deploy/cloudfront.yaml

# BENCH=--quick, or the names of parts. Installs what is compared with into benchmarks/.peers on first use.
bench: .venv/dev
	$(BIN)/python -m benchmarks $(BENCH)

# What runs, and what develops: each from its lock file, hashes checked.
.venv/run: requirements.txt pyproject.toml | .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/dev: requirements-dev.txt pyproject.toml | .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Darkroom needs Python 3.11 or later: make PYTHON=...")'
	$(PYTHON) -m venv .venv

# After a change of pyproject.toml. Needs uv.
lock:
	uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra build --extra otel --extra vips pyproject.toml -o requirements.txt
	uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev --extra otel --extra vips -c requirements.txt pyproject.toml -o requirements-dev.txt
