# Every command needs only python3 and make: each sets up .venv by itself, with what that command uses.

PYTHON ?= python3
# Another Python gets an environment of its own: make test PYTHON=python3.13
VENV := .venv$(patsubst %,-%,$(filter-out python3,$(notdir $(PYTHON))))
BIN := $(VENV)/bin

.PHONY: help demo devices test bench docs check format clean
.DELETE_ON_ERROR:

help:  ## show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/demo.stamp  ## start the demo and print its URL
	@$(BIN)/python examples/demo.py $(ARGS)

devices: $(VENV)/devices.stamp  ## start the example with accounts, devices and a chat
	@$(BIN)/python -m examples.devices $(ARGS)

# A part of the tests can't reach 100 % coverage, so ARGS replaces the gate: make test ARGS="-k cookie"
test: $(VENV)/test.stamp  ## run the tests, with coverage
	@$(BIN)/python -m pytest $(or $(ARGS),--cov)

bench: $(VENV)/bench.stamp  ## run the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/docs.stamp  ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

check: $(VENV)/dev.stamp  ## check format, lint and types
	@$(BIN)/python -m ruff format --quiet --check .
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -m pyright --pythonpath $(BIN)/python
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pyright --ignoreexternal --verifytypes asgi_signed_session >$(VENV)/types.txt || \
		{ cat $(VENV)/types.txt; exit 1; }

format: $(VENV)/dev.stamp  ## put the format right, and what lint can fix
	@$(BIN)/python -m ruff format .
	@$(BIN)/python -m ruff check --fix .

clean:  ## remove all that these commands made
	@rm -rf .venv .venv-* .demo-sessions.db* .devices .nox .fuzz mutants dist site .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per dependency group, so that the demo doesn't wait for matplotlib.
$(VENV)/%.stamp: pyproject.toml
	@echo "Installing into $(VENV): this package and its '$*' group" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade "pip>=25.1"  # the first that knows dependency groups
	@$(BIN)/python -m pip install -qq --editable . --group $*
	@touch $@
