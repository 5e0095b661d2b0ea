# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The newest of these that runs, or the one that PYTHON names.
PYTHONS := python3.13 python3.12 python3.11
# pyenv leaves the name of every Python it has on PATH, and runs only those that are switched on: the others are in its folder.
running = $(shell for python in $(1) $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/*/bin/$(1)); do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
INTERPRETER = $(firstword $(foreach name,$(or $(PYTHON),$(PYTHONS)),$(call running,$(name))))
VENV := .venv
BIN := $(VENV)/bin
# The same by version, python3.12, which is also the name of a file in an environment that it made.
VERSION = $(if $(INTERPRETER),$(shell $(INTERPRETER) -c 'import sys; print("python%d.%d" % sys.version_info[:2])'))
MADE_BY_IT = $(wildcard $(BIN)/$(or $(VERSION),none))
# The compose plugin, or docker-compose where that is what a machine has.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
# Of the images, which build nothing.
UV_COMPILE = $(BIN)/uv pip compile --only-binary :all: --quiet --no-header --no-emit-index-url --no-annotate --generate-hashes --python-version 3.11

# What `make run` is told: CASE=housing, RECORDS=6000 (then it ends by itself), DATA_DIR=folder, SEED=3, RATE=100,
# SCENARIO=name, RETRAINING=on.
# What is not told here comes from the environment, .env or the default.
$(foreach name,CASE RECORDS DATA_DIR SEED RATE SCENARIO RETRAINING,$(if $($(name)),$(eval export $(name))))

# No dependency phones home.
export DO_NOT_TRACK := true
export ORT_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := False
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: help install remake run test test-long test-fast test-pythons lint format train pipeline faults fault-table fuzz drift-bench bench dashboards stack audit sbom licences lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/installed  ## make .venv with everything, from the lock file; PYTHON=python3.12 takes that one

remake:  # an environment that another Python made

# uv installs the lock in seconds; pip, which every Python has, installs uv.
$(VENV)/installed: requirements.lock requirements-uv.lock pyproject.toml $(if $(PYTHON),$(if $(MADE_BY_IT),,remake))
	$(if $(INTERPRETER),,$(error no Python of 3.11 or newer runs by the name of $(or $(PYTHON),$(PYTHONS)); PYTHON=... names another))
	$(INTERPRETER) -m venv $(if $(MADE_BY_IT),,--clear) $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: install  ## train a champion if there is none, start every service and a stream; RECORDS=N ends by itself
	@exec $(BIN)/python -m local_stack

test: install  ## every test but the long forms, side by side, with the real parts this machine has
	$(BIN)/python -m tests.selection test $(PYTEST_ARGS)

test-long: install  ## the long forms: benches, pipelines, comparisons, full grids; with `make test` these are all tests
	$(BIN)/python -m tests.selection test-long $(PYTEST_ARGS)

test-fast: install  ## unit tests and contracts that need no network, no real part and about a minute
	$(BIN)/python -m pytest tests/unit tests/contracts -m "not real_parts and not long" --numprocesses=auto --dist=loadfile $(PYTEST_ARGS)

# The Pythons of this machine but the one of .venv. They install one after the other: all build the same folder.
OTHER_PYTHONS = $(foreach name,$(PYTHONS),$(if $(wildcard $(BIN)/$(name)),,$(if $(call running,$(name)),$(name))))

test-pythons: install  ## `make test-fast` on every other Python of this machine, side by side
	@for name in $(OTHER_PYTHONS); do $(MAKE) VENV=.venv-$$name PYTHON=$$name install || exit 1; done
	@$(MAKE) --jobs --output-sync=target $(addprefix test-fast-,$(OTHER_PYTHONS))

test-fast-python%:
	$(MAKE) VENV=.venv-python$* PYTHON=python$* test-fast

faults: install  ## the long form of the fault suite: many kills, outages of minutes; FAULTS=short for that of `make test`
	FAULTS=$(or $(FAULTS),long) $(BIN)/python -m pytest tests/faults -rP $(PYTEST_ARGS)

fault-table: install  ## docs/fault-table.md goes up: faults that are due next, for MINUTES=60, with new seeds; ONLY=disk
	$(BIN)/python -m tests.fault_table --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1) $(ONLY:%=--only %) --write

fuzz: install  ## INPUTS=100000 by chance, of SEED=1, for every decoder of what comes from outside; ONLY=record,label for some
	$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),100000) --seed $(or $(SEED),1) --only "$(ONLY)"

lint: install  ## formatter, linter and type checker, without changing anything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy event_backbone prediction_service monitoring_service stream_generator training local_stack benchmarks grafana prometheus supply_chain docs/generate.py
	$(BIN)/mypy containers/*.py

format: install  ## let the formatter and the linter mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

train: install  ## train and register a champion for CASE
	$(BIN)/train-model

pipeline: install  ## the stages of training by DVC, those that have something to do; CASE=housing for one case
	$(BIN)/dvc repro $(if $(CASE),register@$(CASE))

bench: install  ## the numbers the README quotes, as ratios measured in one run
	$(BIN)/train-model --case census --if-needed
	$(BIN)/python -m benchmarks.serving --stream var/census/splits/stream.jsonl
	$(BIN)/python -m benchmarks.overload --stream var/census/splits/stream.jsonl
	$(BIN)/python -m benchmarks.slow_connections --stream var/census/splits/stream.jsonl
	$(BIN)/python -m benchmarks.shadow --stream var/census/splits/stream.jsonl
	$(BIN)/python -m benchmarks.monitoring
	$(BIN)/python -m benchmarks.mongo_sink
	$(BIN)/python -m benchmarks.kafka_worker --stream var/census/splits/stream.jsonl

drift-bench: install  ## false alarms, delays and misses of the drift verdict beside other rules; SEED=N, DATA_DIR=folder
	$(BIN)/python -m benchmarks.drift $(if $(SEED),--seed $(SEED))

dashboards: install  ## write Grafana's dashboards, grafana/dashboards, from the code in grafana
	$(BIN)/python -m grafana.generate

stack: export DOCKER_BUILDKIT ?= 1
stack: export COMPOSE_DOCKER_CLI_BUILD ?= 1
stack:  ## the whole stack in containers: Kafka, MongoDB, MLflow, Prometheus, Grafana and every service
	$(COMPOSE) build
	$(COMPOSE) up --detach
	@$(COMPOSE) ps

# Tools for a few commands, apart from the environment that they look at.
TOOLS := .venv-tools
$(TOOLS)/installed: supply_chain/tools.lock $(VENV)/installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TOOLS)
	$(BIN)/uv pip sync --quiet --python $(TOOLS)/bin/python --require-hashes supply_chain/tools.lock
	@touch $@

audit: $(TOOLS)/installed  ## known vulnerabilities of what the locks pin, by PyPI; ADVISORIES=folder takes a list from there
	$(BIN)/python -m supply_chain.audit --pip-audit $(TOOLS)/bin/pip-audit $(if $(ADVISORIES),--advisories $(ADVISORIES))

# cyclonedx-py checks what it writes by the schema.
sbom: $(TOOLS)/installed  ## bills of materials (CycloneDX) of the environment and of each image, into sbom/
	@mkdir -p sbom
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --output-file sbom/environment.cdx.json $(BIN)/python
	@for image in prediction monitoring generator training; do \
		$(TOOLS)/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml \
			--output-file sbom/$$image.cdx.json containers/locks/$$image.lock || exit 1; \
	done
	@ls sbom/*.cdx.json

licences: install  ## the licences of all packages that are installed
	@$(BIN)/python -m supply_chain.licences

lock: install  ## resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --no-annotate --generate-hashes --python-version 3.11 \
		--universal --extra dev --upgrade pyproject.toml --output-file requirements.lock
	echo uv | $(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --no-annotate --generate-hashes \
		--python-version 3.11 --constraint requirements.lock - --output-file requirements-uv.lock
	$(UV_COMPILE) --constraint requirements.lock --extra prediction --override containers/locks/mlflow-client.overrides \
		pyproject.toml containers/locks/mlflow-client.in --output-file containers/locks/prediction.lock
	for extra in monitoring generator training; do \
		$(UV_COMPILE) --constraint requirements.lock --extra $$extra pyproject.toml --output-file containers/locks/$$extra.lock || exit 1; \
	done
	echo setuptools | $(UV_COMPILE) --constraint requirements.lock - --output-file containers/locks/build.lock
	$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --no-annotate --generate-hashes --python-version 3.11 \
		--universal --upgrade --constraint requirements.lock supply_chain/tools.in --output-file supply_chain/tools.lock

clean:  ## remove the environment and everything the services kept
	rm -rf $(VENV) .venv-python* $(TOOLS) sbom var .dvc/cache .dvc/tmp
