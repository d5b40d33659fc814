# `make demo` and `make test` each work alone on a fresh machine with Python 3.11+, make and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is installed, by what for: a demo has nothing of non-commercial packages, the tests try them as well.
DEMO := $(VENV)/.demo
STAMP := $(VENV)/.installed
BROWSER := $(VENV)/.browser
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable
export PYTHONHASHSEED ?= 0
export PYTHONUTF8 = 1
# Where this is set, every process compiles torch and diffusers anew, which takes half a minute each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo install test slow browser check format clean

demo: $(DEMO)
	$(BIN)/emojibench run --method fye-faster --split cross
	$(BIN)/emojibench report
	$(BIN)/emojibench report --html

install: $(STAMP)

# One thread per worker: two workers with two threads each on two cores wait for one another most of the time.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# Playwright drives a Chromium or Chrome of the system; no browser is downloaded.
browser: $(BROWSER)
	$(BIN)/python -m pytest tests/reporting/test_html_browser.py

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(DEMO): $(BIN)/uv pyproject.toml constraints.txt
	@echo "installing all but pyiqa, which is for non-commercial use only: pip install 'emojibench[quality]'"
	$(INSTALL) ".[model,detect,identity]"
	touch $@

$(STAMP): $(BIN)/uv pyproject.toml constraints.txt
	@echo "installing everything that tests try, pyiqa among it (PolyForm Noncommercial licence)"
	$(INSTALL) ".[all,quality,peers,dev]"
	touch $@ $(DEMO)

$(BROWSER): $(STAMP)
	$(INSTALL) ".[all,quality,peers,dev,browser]"
	touch $@

# uv resolves and unpacks several times faster than pip; it comes from the same registry.
$(BIN)/uv:
	$(PYTHON) -c 'import sys; v = sys.version_info; assert (3, 11) <= v[:2] <= (3, 12), f"Python 3.11 or 3.12 is needed, this is {v.major}.{v.minor}; set PYTHON=python3.11"'
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet uv

clean:
	rm -rf $(VENV) runs
