# The commands of the project. `make demo` and `make test` need Python 3.11 or newer and nothing else.

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check fix types tests generate refresh fuzz cassettes bench soak clean

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo-ready  ## do the main job against the emulator (LIVE=1 and CIVITAI_TOKEN: against Civitai)
	@$(BIN)/python examples/demo.py

# Types and tests at the same time: both leave processors idle now and then.
test: check  ## everything that CI runs
	@$(MAKE) --no-print-directory -j 2 types tests

check: $(VENV)/ready  ## find what `make fix` repairs: lint, format, generated and derived code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/unasync.py --check
	$(BIN)/python -m scripts.openapi.lock --check
	$(BIN)/python -m scripts.generate --check
	$(BIN)/python -m scripts.inputs --check

fix: $(VENV)/ready  ## repair what `make check` finds
	$(BIN)/python -m scripts.generate
	$(BIN)/python -m scripts.inputs
	$(BIN)/python -m scripts.openapi.lock
	$(BIN)/python scripts/unasync.py
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/ready  ## check the types, as two type checkers see them
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# One worker more than there are processors: now and then one waits for a socket.
COUNT := import os; print(1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))

tests: $(VENV)/ready  ## run the tests; the network is used once, to fetch two clients (skipped without)
	$(BIN)/pytest -n $$($(BIN)/python -c '$(COUNT)') -q $(ARGS)

generate: $(VENV)/ready  ## write generated/ from openapi/, and what the emulator knows of it
	$(BIN)/python -m scripts.generate
	$(BIN)/python -m scripts.inputs

refresh: $(VENV)/ready  ## take over a published document: make refresh FROM=url-or-file
	$(BIN)/python -m scripts.refresh $(FROM)

fuzz: $(VENV)/ready  ## ask the emulator whatever the documents allow and forbid: make fuzz ARGS="site --seed 7"
	$(BIN)/python -m tests.emulator.fuzzing $(ARGS)

cassettes: $(VENV)/ready  ## record tests/cassettes anew from the emulator
	$(BIN)/python -m scripts.cassettes

bench: $(VENV)/ready  ## measure the budgets
	$(BIN)/python benchmarks/budgets.py
	$(BIN)/python benchmarks/crawl.py
	$(BIN)/python benchmarks/waiting.py
	$(BIN)/python benchmarks/hashing.py
	$(BIN)/python benchmarks/identify.py
	$(BIN)/python benchmarks/kills.py
	$(BIN)/python benchmarks/downloads.py

soak: $(VENV)/ready  ## keep an emulator busy for ten minutes and see whether its memory stays flat
	$(BIN)/python benchmarks/soak.py $(ARGS)

clean:  ## remove what can be made again
	rm -rf $(VENV) dist demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The environment is made from pyproject.toml alone, and made again when that changes.
$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "make: Python 3.11 or newer is needed and was not found; install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: $(PYTHON) is not Python 3.11 or newer; name one that is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) >/dev/null || { \
		rm -rf $(VENV); echo "make: $(PYTHON) cannot make environments; install its venv module (on Debian: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"

$(VENV)/demo-ready: pyproject.toml | $(BIN)/python
	@echo "Installing what the demo needs into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

$(VENV)/ready: pyproject.toml | $(BIN)/python
	@echo "Installing the development environment into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	@touch $@
