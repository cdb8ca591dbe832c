# make demo and make test set up what they need: a .venv from constraints.txt, made once and used again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all lint ui clean

demo: $(READY)  ## train, sample, score and track the embedded world (minutes)
	$(BIN)/polymlops run demo

PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses=4 --dist loadfile --durations=30

test: $(READY)  ## every test but those that take minutes each
	$(PYTEST) -m 'not long'

test-all: $(READY)  ## every test: whole profiles, and many more kills of everything
	$(PYTEST)

lint: $(READY)  ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ui: $(READY)  ## the Prefect and MLflow pages of what was run, on loopback
	$(BIN)/polymlops ui demo

clean:  ## remove .venv and caches; results in polymlops-runs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "polymlops needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try make PYTHON=python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)
