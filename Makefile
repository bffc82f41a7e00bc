# Everything that a newcomer needs: `make audit` and `make test`. Nothing is installed outside of .venv but
# what the live and vm tests need of Debian's packages (tests/live/setup.sh, tests/vm/setup.sh), only as root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: audit test unit live vm lint bench clean

audit: $(VENV)/.installed
	$(BIN)/isoaudit scan --host -f text,html,json -o .

test: $(VENV)/.tested
	bash tests/live/setup.sh
	bash tests/vm/setup.sh
	$(BIN)/pytest

unit: $(VENV)/.tested
	$(BIN)/pytest -m "not live and not vm"

live: $(VENV)/.tested
	bash tests/live/setup.sh
	$(BIN)/pytest -m live

vm: $(VENV)/.tested
	bash tests/vm/setup.sh
	$(BIN)/pytest -m vm

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy isoaudit checks tests bench

bench: $(VENV)/.tested
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) dist build bench/.build isoaudit-report.html isoaudit-report.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'isoaudit needs Python 3.10 or newer: make PYTHON=python3.11 …' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo 'Python cannot make a virtual environment: on Debian and Ubuntu apt-get install python3-venv' >&2; exit 1; }

$(VENV)/.installed: $(BIN)/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
