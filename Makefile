PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-all test-campaigns test-pythons lint up pictures bench drills clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/'

# Compiled on every core, where pip takes one; the checkout too, which costs each process 0.3 s where
# Python is told to write no bytecode. A file for another Python is named and no reason to stop, as
# with pip.
define install
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint requirements.lock --editable $(1)
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib crypto_pool || true
endef

$(VENV)/installed: pyproject.toml requirements.lock
	@echo 'Installing what the pool needs into $(VENV), which takes some minutes.'
	$(call install,.)
	touch $@

$(VENV)/developing: pyproject.toml requirements.lock
	@echo 'Installing what the pool, tests, benchmarks and drills need into $(VENV), which takes some minutes.'
	$(call install,'.[dev]')
	touch $(VENV)/installed $@

demo: $(VENV)/installed ## run the whole pool once on the synthetic market (SYMBOLS=BTC,ETH or all)
	$(BIN)/crypto-pool demo $(if $(SYMBOLS),--symbols $(SYMBOLS))

# Three files at a time on two cores: much of their time is waiting.
PYTEST := $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 25

test: $(VENV)/developing ## run the tests, but for what takes minutes
	$(PYTEST) -m 'not long and not campaign'

test-all: test ## then the long ones: lives, drills, browsers on Dagster, the README's commands
	$(PYTEST) -m long

test-campaigns: $(VENV)/developing ## those that hurt a whole pool for many minutes
	$(PYTEST) -m campaign

# A Python that is not there is named, and no failure.
test-pythons: ## the tests by each later Python there is, in an environment of its own
	@for version in 3.12 3.13; do \
		if command -v python$$version >/dev/null; then \
			$(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
		else echo "no python$$version here"; fi; \
	done

lint: $(VENV)/developing ## ruff, mypy and the layer contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

up: $(VENV)/installed ## the pool's page, Dagster, its daemon and MLflow on loopback, until Ctrl-C
	$(BIN)/crypto-pool up

pictures: $(VENV)/developing ## take the pictures in docs/images, after `make demo` and beside `make up`
	$(BIN)/python -m crypto_pool_tests.serving.pictures
	$(BIN)/python -m crypto_pool_tests.tool_pictures

bench: $(VENV)/developing ## measure everything, for hours; keep the figures
	$(BIN)/python -m benchmarks

drills: $(VENV)/developing ## break things on purpose and measure how the pool bears it
	$(BIN)/python -m drills

clean: ## remove the virtual environment and caches; never the data
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
