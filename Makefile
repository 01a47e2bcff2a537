# Everything a newcomer needs; the README gives the plain commands behind each target.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-browser test-timm lab lint

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

# Beside the environment: timm needs torchvision, which has no build for a torch without CUDA.
.timm/.installed: .venv/.installed constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .timm -c constraints.txt timm torchvision
	touch $@

test-timm: .timm/.installed
	PYTHONPATH=.timm $(BIN)/python -m pytest -m timm tests/formats/test_timm.py

lab: .venv/.installed
	$(BIN)/jupyter lab --notebook-dir=. notebooks/00_start_here.ipynb

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
