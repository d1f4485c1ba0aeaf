# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch torchvision timm
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	touch $(STAMP)

.PHONY: install demo test slow lint bench clean
install: $(STAMP)

demo: $(STAMP)  ## the main job on handwritten digits; names the report it wrote
	$(BIN)/tamesu demo demo

test: $(STAMP) lint  ## everything but the slow statistics
	$(BIN)/python -m pytest

slow: $(STAMP)  ## calibration and planted truth
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo runs .pytest_cache .mypy_cache .ruff_cache
