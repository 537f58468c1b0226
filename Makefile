# Everything is built from pinned, hashed files into .venv; a second run does nothing.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first of these that runs and is 3.11 or newer; `make venv PYTHON=…` to choose another.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --no-input install --quiet
UV_VERSION := 0.13.9
COMPILE := .venv-pins/bin/uv pip compile --quiet --no-config --upgrade --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command 'make pins'

# What the tests and the benchmarks need from the operating system.
SYSTEM := apache2-bin chromium debootstrap iproute2 mariadb-client mariadb-server-core nftables openssh-client postgresql \
	strace systemd-container uwsgi-core uwsgi-plugin-python3

.PHONY: help venv system demo test wheel bench lint format pins clean

help: ## List what can be made
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16

venv: .venv/.installed ## Make .venv: the project and all its tools, pinned

system: ## As root on Debian: install the packages the tests and benchmarks need
	@missing=; for p in $(SYSTEM); do dpkg -s $$p &>/dev/null || missing+=" $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "Not installed:$$missing. What needs them will be skipped;" \
			"on Debian: sudo make system"; exit 0; fi; \
	echo "Installing$$missing"; $(call apt-install,$$missing)

demo: venv ## A shop with a bug, real traffic, and what Standfast says about it
	$(BIN)/standfast demo

# The unit tests share nothing, so they run side by side; the others share the machine.
test: venv system ## Run all tests
	$(BIN)/pytest -n 4 tests/lab tests/e2e tests/browser tests/unit

wheel: venv ## Build dist/standfast-VERSION-py3-none-any.whl, to install elsewhere
	$(BIN)/python -m pip --disable-pip-version-check --no-input wheel --quiet --no-deps \
		--no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

bench: venv system .venv-bench/.installed ## Measure the cost per request beside other tools
	$(BIN)/python -m benchmarks

lint: venv ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy src tests $(wildcard benchmarks)

format: venv ## Put the code in its standard form
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

pins: ## Renew the pinned versions in requirements/
	@$(need-python)
	$(PYTHON) -m venv .venv-pins
	.venv-pins/bin/python $(PIP) uv==$(UV_VERSION)
	$(COMPILE) --output-file requirements/dev.txt --extra dev pyproject.toml
	$(COMPILE) --output-file requirements/bench.txt -c requirements/dev.txt requirements/bench.in

clean: ## Remove the environments and everything built
	rm -rf .venv .venv-bench .venv-pins build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# Two stamps for each environment: a change of pyproject.toml reinstalls the project alone.
.venv/.pinned: requirements/dev.txt
.venv-bench/.pinned: requirements/bench.txt
.venv/.pinned .venv-bench/.pinned:
	@$(need-python)
	@$(need-ensurepip)
	@echo "Installing $< into $(@D)"
	@[ -x $(@D)/bin/pip ] || $(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP) --require-hashes -r $<
	@touch $@

.venv/.installed .venv-bench/.installed: %/.installed: %/.pinned pyproject.toml
	@$(@D)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

define need-python
[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed, and none was found on PATH." \
	"Install one, or say where it is: make venv PYTHON=/path/to/python3" >&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON) is not Python 3.11 or newer." >&2; exit 1; }
endef

# Debian keeps `ensurepip`, without which `venv` makes no pip, in a package of its own.
define need-ensurepip
$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && $(call apt-install,python3-venv); } || { \
	echo "$(PYTHON) has no ensurepip. On Debian: sudo apt-get install python3-venv" >&2; exit 1; }
endef

apt-install = apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null
