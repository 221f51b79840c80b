# Everything a developer or a new user runs. Python >= 3.11 and make are all that is assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.setup
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test setup lint types nightly lock clean

run: setup            ## the demo shop on http://127.0.0.1:8000
	@$(BIN)/liveserver run --demo

test: setup           ## every test; TEST_WITHOUT=browser,postgres names what may be missing
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

setup: $(STAMP)       ## virtual environment and browser modules; quick when nothing changed

$(STAMP): requirements/dev.txt package-lock.json pyproject.toml tools/setup.py
	@$(PYTHON) tools/setup.py $(VENV)
	@touch $@

lint: setup           ## ruff; the pages are checked by tests/static
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup          ## mypy --strict
	$(BIN)/mypy

nightly: setup        ## the long runs: seeds, soak, faults, audits
	$(BIN)/python -m pytest --nightly

lock:                 ## renew the pinned lock files (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
	  pyproject.toml -o requirements/run.txt
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
	  pyproject.toml --group dev -o requirements/dev.txt

clean:
	rm -rf $(VENV) node_modules static/vendor data
