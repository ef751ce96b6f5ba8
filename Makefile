# One command after `git clone`:
#
#     make demo     a volume from a real X-ray with the shipped weights, in demo_output/
#     make test     the tests, without the slow ones
#
# Both make a virtual environment in .venv first (some minutes, once). Needs GNU make and
# Python 3.10 to 3.14. Choose another interpreter with `make demo PYTHON=python3.12`.
#
# Windows has no make; the same, typed in the folder of the repository:
#
#     py -3.11 -m venv .venv
#     .venv\Scripts\python -m pip install -c constraints.txt -e .[dev]
#     .venv\Scripts\python -m axon_backend demo --output demo_output --overwrite
#     .venv\Scripts\python -m pytest -n auto --dist loadfile -m "not slow"

.DEFAULT_GOAL := help
.PHONY: demo test test-all test-view lint format clean help
.DELETE_ON_ERROR:

SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python3.10 python3.14 python; \
	do $$p -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$p && break; done)

VENV := .venv
RUN := $(VENV)/bin/python
# One process a core, but not more than memory holds; a file's tests share a process and its fixtures.
PYTEST := $(RUN) -m pytest -n auto --maxprocesses 8 --dist loadfile
PIP := $(RUN) -m pip install --disable-pip-version-check -c constraints.txt

# CPU builds of torch for Linux machines without an NVIDIA GPU; the default build there brings
# gigabytes of CUDA libraries. Other systems get the right build from PyPI.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

demo: $(VENV)/.installed-demo  ## a CT volume from a real X-ray, with images and a report
	$(RUN) -m axon_backend demo --output demo_output --overwrite

test: $(VENV)/.installed-dev  ## tests but for the slow ones; for some: make test ARGS="-k bundle"
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(VENV)/.installed-dev  ## all tests, as in continuous integration
	$(PYTEST) $(ARGS)

test-view: $(VENV)-view/.installed  ## axon view in a headless Chromium, which has to be installed
	$(VENV)-view/bin/python -m pytest Testing/viewer $(ARGS)

lint: $(VENV)/.installed-dev  ## style, types and imports, as in continuous integration
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	PYTHONPATH=AXONReconstruction:AXONTraining $(VENV)/bin/lint-imports --no-logo

format: $(VENV)/.installed-dev  ## format the code
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:  ## remove everything that make has made, the environment too
	rm -rf $(VENV) $(VENV)-view demo_output build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed-demo: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) -e '.[render]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	@touch $@

# An environment of its own: trame-slicer needs another slicer-core than the development does.
$(VENV)-view/.installed: pyproject.toml
	$(MAKE) VENV=$(VENV)-view $(VENV)-view/.torch
	$(VENV)-view/bin/python -m pip install --disable-pip-version-check -e '.[view]' pytest playwright
	@touch $@

$(VENV)/.torch: $(VENV)/.created constraints.txt
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1; then \
		echo "No NVIDIA GPU found: looking for the CPU build of torch."; \
		$(PIP) --no-deps --retries 1 --timeout 15 --index-url $(TORCH_CPU_INDEX) torch \
		|| echo "Not found there: PyPI's build of torch follows."; \
	fi
	@touch $@

# Debian and Ubuntu ship Python without the part that puts pip into a virtual environment
# (python3-venv). Where the system has a pip, that one can do it instead.
$(VENV)/.created:
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(SUPPORTED)' 2>/dev/null; then \
		echo "AXON needs Python 3.10 to 3.14, found: $(if $(PYTHON),$$($(PYTHON) --version 2>&1),none)"; \
		echo "Install it (Debian, Ubuntu: apt install python3 python3-venv), or name it:"; \
		echo "  make $(MAKECMDGOALS) PYTHON=/path/to/python3"; \
		exit 1; \
	fi
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -c 'import pip, venv' 2>/dev/null; then \
		$(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(RUN) install pip; \
	else \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu:"; \
		echo "  sudo apt install python3-venv"; \
		exit 1; \
	fi
	@touch $@
