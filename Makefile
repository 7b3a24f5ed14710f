# `make` alone lists the targets. Everything a target needs is installed by the target itself, into this folder.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell \
	command -v $(name) >/dev/null 2>&1 && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $(name))))
UV_VERSION := 0.13.9
CHECKOV_VERSION := 3.3.30
CHECKOV := .tools/checkov/bin/checkov
STAGE ?= dev
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
STAMP := .venv/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install deploy destroy demo test test-engines simulate-faults bench build lint format clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## Set everything up, send real events through the template into Iceberg, and show them in SQL.
	@$(RUN) carousel-sync demo

test: $(STAMP) ## Run the tests that need nothing but Python.
	$(RUN) pytest -n $(WORKERS) --dist worksteal -m "not engine"

test-engines: $(STAMP) ## Run the tests against real engines (needs Java 17, Maven and Python 3.13).
	$(RUN) python -m tests.engines.java_engine fetch
	$(RUN) pytest -n $(WORKERS) --dist worksteal -m engine

simulate-faults: $(STAMP) ## Simulate crashes, lost answers and late requests: SECONDS=60, SEED=...
	$(RUN) python -m tests.simulation --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

bench: $(STAMP) ## Measure against what one would use instead: BENCH_JSON=FILE also writes the figures.
	$(RUN) python -m benchmarks $(if $(BENCH_JSON),--json $(BENCH_JSON))

build: $(STAMP) ## Build what is deployed: build/artefact and build/artefact.zip (needs Python 3.13).
	$(RUN) python -m carousel_sync.release build --bytecode

deploy: build ## Deploy STAGE=dev (needs Python 3.13): change set, yes or no, the table. PARAMETERS="A=1 B=2"
	@$(RUN) carousel-sync deploy --stage $(STAGE) $(foreach parameter,$(PARAMETERS),--parameter $(parameter)) $(if $(YES),--yes)

destroy: $(STAMP) ## Delete the stack of STAGE=dev. Its data stays, except for stores that are named: DATA="NAME NAME"
	@$(RUN) carousel-sync destroy --stage $(STAGE) $(foreach store,$(DATA),--data $(store))

lint: $(STAMP) $(CHECKOV) ## Check style, types, the template and the event's contract.
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) cfn-lint template.yaml
	$(CHECKOV) --file template.yaml --framework cloudformation --skip-download --compact --quiet
	$(RUN) python -m carousel_sync.contract.released check

format: $(STAMP) ## Put the code into its standard form.
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

install: $(STAMP) ## Install everything that the other targets need.

clean: ## Remove everything that was installed, built or cached here.
	-@if [ -x .venv/bin/carousel-sync ]; then .venv/bin/carousel-sync local down; fi
	rm -rf .venv .tools .cache .local build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

define CHECK_PYTHON
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or later was found. Install one (for instance: apt-get install python3), then repeat." >&2; exit 1; \
	fi
endef

$(STAMP): pyproject.toml uv.lock | $(UV)
	$(CHECK_PYTHON)
	$(UV) sync --frozen --python $(PYTHON)
	@touch $@

# The template's policy checker, in an environment of its own: it wants other versions of what is installed here.
$(CHECKOV): | $(UV)
	$(CHECK_PYTHON)
	$(UV) venv --quiet --clear --python $(PYTHON) .tools/checkov
	$(UV) pip install --quiet --python .tools/checkov/bin/python checkov==$(CHECKOV_VERSION)

.tools/uv/bin/uv:
	$(CHECK_PYTHON)
	@$(PYTHON) -m venv .tools/uv 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. Install it (for instance: apt-get install python3-venv), then repeat." >&2; exit 1; }
	.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
