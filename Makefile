# Everything a newcomer needs; the README gives the plain commands behind each target.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-browser lab lint

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/python -m aimv2_lab.launch.demo

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-browser: .venv/.installed
	$(BIN)/python -m pytest -m browser tests/browser

lab: .venv/.installed
	$(BIN)/jupyter lab --notebook-dir=. notebooks/00_start_here.ipynb

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
