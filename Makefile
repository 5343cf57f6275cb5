# `make help` lists the targets. Everything installs into .venv, from requirements.lock.
# To take a Python of your own: make install PYTHON=python3.12

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo check test engine bench audit pictures campaign-compare campaign-kill campaign-outage campaign-load campaign-fuzz clean lock

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# An own uv on the PATH is used; without one, venv and pip do the same more slowly.
UV := $(shell command -v uv 2>/dev/null)
PYTHON ?=
UNMARKED := not server and not browser and not docker and not slow

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with everything pinned, and the project in it (quick when nothing changed).

$(STAMP): requirements.lock pyproject.toml
	@python=; \
	for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then python=$$candidate; break; fi; \
	done; \
	if $(BIN)/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	  echo "$(VENV) is there: $$($(BIN)/python --version)"; \
	elif [ -z "$$python" ]; then \
	  echo "expected Python 3.11, 3.12 or 3.13; got none on the PATH: install one, or say make install PYTHON=/its/path" >&2; \
	  exit 2; \
	else \
	  echo "making $(VENV) with $$("$$python" --version)$(if $(UV), and uv,)"; \
	  rm -rf $(VENV); \
	  $(if $(UV),"$(UV)" venv --quiet --python "$$python" $(VENV),"$$python" -m venv $(VENV)) \
	    || { rm -rf $(VENV); echo "no virtual environment: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 2; }; \
	fi
ifneq ($(UV),)
	@"$(UV)" pip install --quiet --python $(BIN)/python -r requirements.lock
	@"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@echo "installing with pip: two to three minutes (uv on the PATH takes seconds)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@
	@echo "installed; try: $(BIN)/emotion-mlflow doctor"

demo: install ## Train both backbones on drawn faces, evaluate both, and compare them (6 minutes on two cores).
	@$(BIN)/python -m emotion_mlflow demo

check: install ## Lint, types and the unmarked tests (a minute).
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -m "$(UNMARKED)"

test: check ## check, and every other tier of tests that this machine can run; skips say why.
	@echo "tiers server, docker and browser, two at once: each prints when it is done"; failed=0; \
	$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target tier-server tier-docker tier-browser || failed=1; \
	$(MAKE) --no-print-directory tier-slow || failed=1; \
	exit $$failed

tier-%: install
	@echo "tier $*:"; started=$$SECONDS; code=0; \
	$(BIN)/pytest -m $* --durations=5 $(if $(filter slow,$*),-n 2 --dist loadfile) || code=$$?; \
	echo "tier $*: $$((SECONDS - started)) s"; exit $$code

engine: ## Install the system packages the browser, server and docker tests need (root on Debian; the only target that does).
	@missing=; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v chromedriver >/dev/null || missing="$$missing chromium-driver"; \
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null || missing="$$missing postgresql"; \
	export PATH="$$PATH:/usr/sbin:/sbin"; \
	command -v dockerd >/dev/null || missing="$$missing docker.io"; \
	command -v docker-compose >/dev/null || missing="$$missing docker-compose"; \
	command -v debootstrap >/dev/null || missing="$$missing debootstrap"; \
	if [ -z "$$missing" ]; then echo "Chromium, its driver, PostgreSQL, Docker and debootstrap are there"; exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
	  echo "not installed, since this is not root on Debian:$$missing"; \
	  echo "install them with this system's own package manager (on Debian: sudo make engine);"; \
	  echo "until then the tests that need them skip, and say so"; \
	fi

audit: install ## Look the locked packages, the server image's too, up in the OSV advisories; says so where they cannot be reached.
	@found=$$($(BIN)/uv tool run --quiet pip-audit@2.10.1 --requirement requirements.lock \
	  --requirement docker/server/requirements.txt --no-deps --disable-pip --progress-spinner off --timeout 10 \
	  --vulnerability-service osv 2>&1) && code=0 || code=$$?; \
	if [ $$code != 0 ] && ! grep -q 'known vulnerabilit' <<< "$$found" \
	  && grep -qE 'ConnectionError|ConnectTimeout|ReadTimeout|Failed to fetch' <<< "$$found"; then \
	  echo "not audited: no advisory source answers ($$(tail -n 1 <<< "$$found" | cut -c 1-160))"; \
	else echo "$$found"; exit $$code; fi

bench: install ## Measure the speeds that docs/PERFORMANCE.md states (both sides of each ratio in one run).
	@$(BIN)/python -m benchmarks

pictures: install ## Draw the README's pictures from a demo run: the report and the MLflow UI (15 minutes, needs Chromium).
	@$(BIN)/python -m benchmarks.pictures

campaign-compare: install ## Simulate 4 x 1,000 comparisons, wrong and missed winners, and draw the power curves (half an hour).
	@$(BIN)/python -m benchmarks.campaign_compare
	@$(BIN)/python -m benchmarks.power_compare

campaign-kill: install ## Kill trainings 20 times with SIGKILL and resume them: nothing may differ (half an hour).
	@$(BIN)/python -m benchmarks.campaign_kill --kills 20

campaign-outage: install ## Stop and start the tracking server 20 times under trainings: nothing may be lost (half an hour).
	@$(BIN)/python -m benchmarks.campaign_outage --outages 20
	@$(BIN)/python -m benchmarks.campaign_outage --outages 6 --database postgresql

campaign-load: install ## Sixteen trainings log to one server for 5 minutes, on SQLite and on PostgreSQL: nothing may be lost.
	@$(BIN)/python -m benchmarks.campaign_load

campaign-fuzz: install ## Give every reader bad input, 50,000 times in all: each must say so in one line.
	@$(BIN)/python -m benchmarks.campaign_fuzz --inputs 50000

clean: ## Remove .venv, caches and build output; runs (mlflow.db, mlruns) stay.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: install ## Compile requirements.lock again, keeping its versions where they still fit (UPGRADE=1: the newest).
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --quiet --no-annotate \
	  --custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links --no-emit-build-options \
	  $(if $(UPGRADE),--upgrade,) --output-file requirements.lock
