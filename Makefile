# make demo   install and train an LSTM on handwritten digits
# make gallery   every job on real data, each with the number that is asked of it
# make test   install and run everything that CI runs
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo gallery test test-all mutation sanitize lint docs clean

demo: $(INSTALLED)
	$(BIN)/cellwright fit classify

gallery: $(INSTALLED)
	cd benchmarks && ../$(BIN)/python -m gallery

test: $(INSTALLED) lint
	$(BIN)/pytest -n auto
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir .venv/site

test-all: test
	$(BIN)/pytest -n auto -m slow

mutation: $(INSTALLED)
	$(BIN)/pytest -m slow tests/test_mutation.py -s -q

sanitize: $(INSTALLED)
	$(BIN)/pytest -m slow tests/conformance/test_builds.py -q

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/mkdocs serve

# torch comes first and alone: pinned, it is the CPU build where there is one, and nothing
# that follows replaces it.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv site runs
