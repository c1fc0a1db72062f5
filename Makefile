# Works on a bare machine with Python 3.11 or newer and pip; installs once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: smoke smokes test test-all gpu check report

smoke: .venv/kit          ## train six activations side by side on this machine's own Python sources, and check the kit
	$(BIN)/repro smoke

smokes: .venv/kit         ## the same checks of one arm of every other family
	$(BIN)/repro smoke moe-smoke-polynorm
	$(BIN)/repro smoke resnet50-smoke-polynorm
	$(BIN)/repro smoke rnn-smoke-polynorm
	$(BIN)/repro smoke mlp-smoke-polynorm

test: .venv/dev           ## everything that needs no GPU, no network and no compilation
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not compile and not gpu"

test-all: .venv/dev       ## the same, and what compiles
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not gpu"

report: .venv/kit        ## what holds of the paper, by what was measured here, on one page
	$(BIN)/repro report

gpu: .venv/dev            ## what needs a GPU, then the smokes of every family on it, in bfloat16
	TRITON_INTERPRET=0 $(BIN)/python -m pytest -m gpu
	TRITON_INTERPRET=0 $(BIN)/repro smoke --all --on gpu

check: .venv/dev          ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.venv/kit: pyproject.toml constraints.txt
	@echo "installing into .venv: PyTorch and its CUDA libraries are 6 GB, which takes minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	touch $@

.venv/dev: .venv/kit
	$(INSTALL) --editable '.[dev]'
	touch $@
