# Needs python3 (3.11 or newer) and make; everything else goes into .venv.
PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
ARGS ?=
BENCH ?= receive ingest settle react flow live cards welcome timeline history text check suggest promises identity
# Tests that start whole services, each by many processes, go few at a time; those that break things want the
# machine to themselves; all others share its cores.
FEW := tests/clients tests/e2e tests/bench
ALONE := tests/chaos
# What the editable install builds or reads: when one changes, it is installed again.
SOURCES := pyproject.toml $(wildcard hatch_build.py) \
	$(shell find scrm/web/assets -name node_modules -prune -o -type f -print 2>/dev/null)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo run test check bench soak

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1 | /p' $(MAKEFILE_LIST) | awk -F' [|] ' '{printf "  make %-7s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime $(VENV)/.app ## Start the demo: simulated WeChat, three reps, 24 customers; Ctrl-C ends it
	@$(BIN)/scrm demo $(ARGS)

run: $(VENV)/.runtime $(VENV)/.app ## Start the service with your configuration, e.g. ARGS="--config my.toml"
	@$(BIN)/scrm serve $(ARGS)

test: $(VENV)/.dev $(VENV)/.app ## Run every test, or some: ARGS="tests/playbook -k price"
ifeq ($(filter-out -%,$(ARGS)),)
	@$(BIN)/python -m pytest -n auto $(ARGS) $(FEW:%=--ignore=%) $(ALONE:%=--ignore=%)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS) $(FEW)
	@$(BIN)/python -m pytest $(ARGS) $(ALONE)
else
	@$(BIN)/python -m pytest $(ARGS)
endif

check: $(VENV)/.dev $(VENV)/.app ## Format, lint, types, walls between the rooms, project files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py tests/test_project.py

bench: $(VENV)/.runtime $(VENV)/.app ## Measure this machine, all or one: BENCH="ingest"
	@set -e; for name in $(BENCH); do $(BIN)/scrm bench $$name $(ARGS); done

soak: $(VENV)/.dev $(VENV)/.app ## Break things for SOAK_MIN=85 minutes, each round with another SEED
	@$(BIN)/python tests/chaos/soak.py $(ARGS)

$(VENV)/.made:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'scrm needs Python 3.11 or newer: make PY=/path/to/python3.11 ...' >&2; exit 1; }
	@$(PY) -m venv $(VENV) \
		|| { echo 'Could not make $(VENV). On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@touch $@

$(VENV)/.runtime: requirements.lock | $(VENV)/.made
	@echo 'Installing what scrm needs into $(VENV) ...'
	@$(PIP) --require-hashes -r requirements.lock \
		|| { echo 'Could not install requirements.lock: see the lines above (network? proxy? disk?).' >&2; exit 1; }
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/.made
	@echo 'Installing what the tests need into $(VENV) ...'
	@$(PIP) --require-hashes -r requirements-dev.lock \
		|| { echo 'Could not install requirements-dev.lock: see the lines above (network? proxy? disk?).' >&2; exit 1; }
	@touch $@

$(VENV)/.app: $(SOURCES) | $(VENV)/.made
	@echo 'Building the pages and installing scrm ...'
	@$(PIP) --no-deps -e . \
		|| { echo 'Could not install scrm itself: see the lines above.' >&2; exit 1; }
	@touch $@
