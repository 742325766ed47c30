# Needs Python 3.11 and make. PYTHON names another interpreter; PORT another port.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

# Modules are compiled when they are first imported. Without a place for bytecode that would happen at every start.
unexport PYTHONDONTWRITEBYTECODE

# Processes of pytest: more than cores, as tests of servers wait most of their time. tests/conftest.py orders files.
WORKERS ?= 3
PYTEST := $(BIN)/pytest --durations=20
SERIAL := $(shell grep -rl 'mark\.serial' tests --include='*.py')
TOGETHER := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help run install setup setup-ci test test-fast test-ci test-long image-test coverage lint bench edge lock sbom audit pin-images clients-js

help:
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/run ## set up and start on http://127.0.0.1:8000
	$(BIN)/darkroom serve --port $(PORT)

install: .venv/run ## set up, and start nothing

setup: .venv/dev ## install what make test needs

setup-ci: .venv/ci clients-js ## install what .ci/run needs beyond that

test: .venv/dev ## everything that guards daily work; ARGS="-k name" or a path runs a part
	$(PYTEST) $(TOGETHER) -m "not slow and not long and not serial" $(ARGS) || [ $$? = 5 ] # no test selected
	$(PYTEST) -m "serial and not slow and not long" $(or $(ARGS),$(SERIAL)) || [ $$? = 5 ]

test-fast: .venv/dev ## unit tests
	$(PYTEST) -n 2 --dist loadfile -m "not heavy and not slow and not long and not serial" tests/unit clients/python/tests $(ARGS)

test-ci: .venv/ci clients-js ## every test except the long ones, as .ci/run does
	$(PYTEST) $(TOGETHER) -m "not long and not serial"
	$(PYTEST) -m "serial and not long" $(SERIAL)

# Where Darkroom runs in the process of the test. Takes Python twice the time, so it is not part of every run.
coverage: .venv/ci ## branch coverage of unit tests, contracts and clients: at least 90 %
	$(PYTEST) $(TOGETHER) -m "not slow and not long and not serial" --cov --cov-report=term --cov-fail-under=90 tests/unit tests/contracts clients/python/tests

test-long: .venv/ci ## soaks, whole corpora, fault matrices: an hour or more
	$(PYTEST) -m "long or hypothesis" --hypothesis-profile long --timeout 7200 $(ARGS)

# TypeScript, for the tests of clients/js. Needs npm.
JS := clients/js/node_modules/.package-lock.json
clients-js: $(JS) ## install what compiles and tests clients/js
$(JS): clients/js/package.json clients/js/package-lock.json
	cd clients/js && npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

# Programs: apt-get install buildah podman runc catatonit debootstrap
image-test: .venv/dev ## build the image and run it, without a container engine's service; needs root and Debian
	$(PYTEST) -s -m long tests/soak/test_container.py

lint: .venv/ci ## format, types, layers, Dockerfile, template
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy examples/fastapi-spa/app.py examples/django/manage.py examples/django/album
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/cfn-lint deploy/cloudfront.yaml

# BENCH=--quick, or the names of parts. Installs what is compared with into benchmarks/.peers on first use.
bench: .venv/dev ## compare with other tools; BENCH=--quick, or names of parts
	$(BIN)/python -m benchmarks $(BENCH)

# In deploy/, because it has no darkroom.toml: the files are for the default sizes.
DARKROOM := ../$(BIN)/darkroom
edge: .venv/run ## print the path rules in deploy/ again
	cd deploy && $(DARKROOM) edge nginx > variants.conf
	cd deploy && $(DARKROOM) edge cloudfront > edge.js
	cd deploy && $(DARKROOM) edge cloudfront --private > private-edge.js
	cd deploy && $(DARKROOM) edge cloudfront --template cloudfront.yaml > cloudfront.new && mv cloudfront.new cloudfront.yaml

sbom: .venv/run ## list what the server contains, libraries in wheels included: sbom.json (CycloneDX)
	$(BIN)/python -m tools.sbom > sbom.json.new && mv sbom.json.new sbom.json

# Needs the network. ARGS="--ignore ID" leaves a vulnerability out.
audit: .venv/dev ## ask for known vulnerabilities of what the lock files pin, and of libraries in wheels
	$(BIN)/python -m tools.audit $(ARGS)

pin-images: .venv/build ## write the digests of base images into Dockerfile and deploy/compose.yaml; needs Docker
	$(BIN)/python -m tools.pin_images

# Lock files are complete, so nothing is resolved here: each install takes the pins and nothing else, and pip check
# says whether they fit together. Each lock extends the one before.
INSTALL := $(BIN)/pip --disable-pip-version-check install --quiet --no-deps --no-compile
LOCKED := $(INSTALL) --require-hashes --no-build-isolation

.venv/run: requirements.txt pyproject.toml clients/python/pyproject.toml .venv/build
	$(LOCKED) -r requirements.txt
	$(INSTALL) --no-build-isolation -e clients/python -e .
	$(CHECKED)

.venv/dev: requirements-dev.txt .venv/run
	$(LOCKED) -r requirements-dev.txt
	$(CHECKED)

.venv/ci: requirements-ci.txt .venv/dev
	$(LOCKED) -r requirements-ci.txt
	$(CHECKED)

define CHECKED
$(BIN)/pip --disable-pip-version-check check
touch $@
endef

# The tools that build this project, and what is published as source alone (pyvips).
.venv/build: requirements-build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Darkroom needs Python 3.11 or later: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes -r requirements-build.txt
	touch $@

# After a change of pyproject.toml; UPGRADE=--upgrade takes every newer release. Needs uv.
COMPILE := uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 --no-emit-package darkroom-client $(UPGRADE)
SERVER := --extra auto-quality --extra otel --extra vips pyproject.toml
lock:
	$(COMPILE) --group build -o requirements-build.txt
	$(COMPILE) $(SERVER) -c requirements-build.txt -o requirements.txt
	$(COMPILE) $(SERVER) --group build --group dev -c requirements-build.txt -c requirements.txt -o requirements-dev.txt
	$(COMPILE) $(SERVER) --group build --group dev --group ci -c requirements-dev.txt -o requirements-ci.txt
