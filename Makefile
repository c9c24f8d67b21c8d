PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint report

demo: .venv/installed
	$(BIN)/dus demo

test: .venv/installed lint
	$(BIN)/pytest
	$(BIN)/dus train --check

PRESET := $(if $(QUICK),report-quick,report)

report: .venv/installed  # QUICK=1: under ten minutes; a stopped run goes on where it was
	$(BIN)/dus eval --preset $(PRESET) --engine ray --out results/$(PRESET)
	$(BIN)/dus report results/$(PRESET) --paper --out $(if $(QUICK),results/report-quick.md,docs/results/planners.md)

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
