# `make demo` and `make test` do everything on a machine that has Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export JAX_PLATFORMS ?= cpu
# Packages are installed uncompiled, which takes half the time; Python keeps what it compiles of them at their first use.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: demo test test-slow test-oldest test-newest audit quick lint types bench fuzz docs browser dist smoke clean help

help:
	@echo "make demo       install into $(VENV), then transfer colours between two photographs"
	@echo "make test       install, then linter, type checker and quick tests"
	@echo "make test-slow  the tests that take long, those of tests/slow.txt among them"
	@echo "make test-oldest  a core of the tests with the oldest versions supported; test-newest with the newest"
	@echo "make audit      known holes in the libraries that brenier needs (pip-audit)"
	@echo "make dist       wheels and sdists of brenier and brenier-bench, in dist; make smoke installs and uses them"
	@echo "make docs       install, then the pages of docs as HTML; starts at docs/_build/html/index.html"
	@echo "make browser    install Chromium from Debian's packages, for the tests of pages"
	@echo "make fuzz       broken files for every reader, guided by coverage (half an hour; installs Atheris)"
	@echo "make bench      brenier beside other solvers, in short (ten minutes); the rest is in benchmarks/README.md"

# pip takes two minutes to find that the pins go together, so they are installed as they are, then what they lack.
# POT alone is compiled at once, because Python warns of an escape in it, and a warning is an error in the tests.
$(STAMP): pyproject.toml bench/pyproject.toml requirements/pinned.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --no-deps --requirement requirements/pinned.txt
	$(INSTALL) --requirement requirements/pinned.txt
	$(INSTALL) --no-deps --editable . --editable ./bench
	$(BIN)/python -W ignore -m compileall -q $(VENV)/lib/python3*/site-packages/ot
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/brenier demo

# The type checker and the linter use one core for a minute, which the tests share with them.
test: $(STAMP)
	$(MAKE) --no-print-directory --jobs 3 lint types quick

quick: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-slow: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m slow

# Old libraries warn of what newer ones changed.
CORE := $(addprefix tests/test_,accuracy.py certificates.py cli.py cli_errors.py conditional.py conjugate.py estimator.py \
  formats.py mapfile.py maps.py potentials.py solvers.py)

test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements/oldest.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps . ./bench
	.venv-oldest/bin/python -m pytest -W ignore::DeprecationWarning $(CORE)

test-newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager \
	  . ./bench hypothesis pandas pyarrow pytest
	.venv-newest/bin/python -m pytest $(CORE)

# Known holes in the versions that tests are pinned to, and in the newest ones that users get.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --progress-spinner off --requirement requirements/pinned.txt --no-deps --disable-pip
	.venv-audit/bin/pip-audit --progress-spinner off .

dist: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python -m build --no-isolation --outdir dist bench

smoke: dist
	$(BIN)/python tests/smoke.py dist

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src bench tests README.md benchmarks docs/*.md docs/api

types: $(STAMP)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(STAMP)
	$(BIN)/python benchmarks/peers.py --short

fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python benchmarks/fuzz.py --time 60

docs: $(STAMP)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

# Tests of pages need a browser and fonts; without one they are skipped, and say so.
browser:
	command -v chromium || (apt-get update --quiet --quiet && \
	  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends \
	  chromium fonts-liberation)

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest .venv-audit .cache build dist brenier-demo docs/_build docs/generated docs/gallery
