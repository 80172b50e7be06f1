# `make demo` and `make test` do everything on a machine that has Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export JAX_PLATFORMS ?= cpu

.PHONY: demo test test-slow lint types bench docs browser clean help

help:
	@echo "make demo       install into $(VENV), then transfer colours between two photographs"
	@echo "make test       install, then linter, type checker and tests"
	@echo "make test-slow  the long accuracy runs"
	@echo "make docs       install, then the pages of docs as HTML; starts at docs/_build/html/index.html"
	@echo "make browser    install Chromium from Debian's packages, for the tests of pages"
	@echo "make bench      brenier beside other solvers, in short (ten minutes); the rest is in benchmarks/README.md"

$(STAMP): pyproject.toml requirements/pinned.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/pinned.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/brenier demo

test: $(STAMP) lint types
	$(BIN)/python -m pytest --numprocesses 2

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src tests README.md benchmarks docs/*.md docs/api

types: $(STAMP)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(STAMP)
	$(BIN)/python benchmarks/peers.py --short

docs: $(STAMP)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

# Tests of pages need a browser and fonts; without one they are skipped, and say so.
browser:
	command -v chromium || (apt-get update --quiet --quiet && \
	  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends \
	  chromium fonts-liberation)

clean:
	rm -rf $(VENV) build dist brenier-demo docs/_build docs/generated docs/gallery
