# make demo | test | check | docs | notebooks | bench | clean
# All that is needed is Python 3.11 or later, with pip; the rest goes into .venv.

PYTHON ?= python3
# That run the tests at once.
PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
STAMP := $(VENV)/stamp

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs notebooks bench clean

help:
	@echo "make demo       fill the gaps of a synthetic record: table, netCDF and picture in demo/"
	@echo "make test       run tests, doctests and notebooks, with the network shut (ARGS='-k options'"
	@echo "                to choose tests)"
	@echo "make check      ruff and mypy"
	@echo "make format     let ruff rewrite the files"
	@echo "make docs       build the documentation into docs/_build/html"
	@echo "make notebooks  run the notebooks"
	@echo "make bench      time and measure the package (about an hour)"
	@echo "make clean      remove all that make has made"

# Debian's python3 comes without ensurepip: then the pip outside builds the one inside.
$(STAMP)-pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xgeoml needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV) || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(STAMP)-package: $(STAMP)-pip pyproject.toml constraints.txt
	$(PIP) --editable ".[plot,io]"
	@touch $@

# What the demo can do without: training, and files of the Hugging Face hub.
$(STAMP)-extras: $(STAMP)-package
	$(PIP) --editable ".[plot,io,train,hf,diffusion,swin]"
	@touch $@

# Dependency groups (PEP 735) are why pip has to be 25.1 or later.
$(STAMP)-%: $(STAMP)-extras
	$(PIP) --group $*
	@touch $@

demo: $(STAMP)-package
	$(BIN)/xgeoml demo

# With ARGS only the tests that were chosen.
test: $(STAMP)-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) $(ARGS)
	$(if $(ARGS),,$(MAKE) notebooks)

check: $(STAMP)-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The notebooks run on copies: those in the tree stay without output, the documentation shows the
# copies with theirs.
build/notebooks/stamp: $(STAMP)-docs $(wildcard notebooks/*.ipynb) $(shell find xgeoml -name '*.py')
	rm -rf build/notebooks && mkdir -p build/notebooks
	cp notebooks/*.ipynb build/notebooks/
	cd build/notebooks && ../../$(BIN)/python -m pytest -c /dev/null --rootdir . --nbmake --overwrite .
	@touch $@

notebooks: build/notebooks/stamp

docs: build/notebooks/stamp
	$(BIN)/python -m sphinx -W --keep-going --quiet -b html docs docs/_build/html

# What takes an hour (soak.py) or real data (real_*.py) is left to be called by hand.
BENCHMARKS := start engine classical graph memory workers training_throughput
bench: $(STAMP)-test
	for name in $(BENCHMARKS); do \
	  printf '\n== %s\n' $$name; \
	  $(BIN)/python -W ignore tests/benchmarks/$$name.py || exit 1; done

clean:
	rm -rf $(VENV) build demo docs/_build docs/generated docs/notebooks
