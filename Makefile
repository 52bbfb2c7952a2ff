# Kilonova, from a clone of the repository. `make help` lists the targets.
#
# Variables: STATE_DIR (where the cloud keeps its state), RANDOM_SEED (order of the tests), PART (unit, host or e2e),
# DATABASE (what the unit and API tests run on: sqlite, postgresql, mariadb), BUS (rabbit, nats: what every transport does is
# tested on it too), ARGS (passed to pytest), UPGRADE=1
# (make lock takes newer versions), PYTHON (3.11 or newer).

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help cloud test e2e lab labtest chaos guide clients conformance bench check format lock venv peer clean fresh

is_recent = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3; do $$p -c '$(is_recent)' 2>/dev/null && echo $$p && break; done)
ifeq ($(strip $(PYTHON)),)
$(error Kilonova needs Python 3.11 or newer; on Debian 12: apt-get install python3)
endif

export KILONOVA_CACHE_DIR ?= $(CURDIR)/.work/cache
KILONOVA := .venv/bin/kilonova
STATE_OPTION := $(if $(STATE_DIR),--state-dir $(STATE_DIR))

help:  ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-11s %s\n", $$1, $$2}'

cloud:  ## bring up a cloud on this machine and boot a first server (root)
	@$(PYTHON) -m tools.setup --for cloud
	@$(KILONOVA) up --detach $(STATE_OPTION)
	@$(KILONOVA) demo $(STATE_OPTION)

test:  ## set everything up, run all tests, end in one line of counts
	@$(PYTHON) -m tools.setup --for test $(addprefix --with ,$(filter-out sqlite,$(DATABASE)) $(BUS))
	@KILONOVA_TEST_DATABASE=$(or $(DATABASE),sqlite) KILONOVA_TEST_BUS=$(BUS) .venv/bin/python -m tools.run_tests --seed "$(RANDOM_SEED)" $(if $(PART),--part $(PART)) -- $(ARGS)

e2e:  ## run only the end-to-end tests
	@$(MAKE) test PART=e2e

lab:  ## build HOSTS hosts and a controller out of namespaces, and a cloud on them (root)
	@$(PYTHON) -m tools.setup --for test --with mariadb --with rabbit
	@.venv/bin/python -m tools.lab up --hosts $(or $(HOSTS),3)

chaos:  ## break a cloud on several hosts for SECONDS under load, then look whether all is well (root)
	@$(PYTHON) -m tools.setup --for test --with mariadb --with rabbit
	@.venv/bin/python -m tools.lab chaos --seconds $(or $(SECONDS),600) --hosts $(or $(HOSTS),3) $(if $(SEED),--seed $(SEED))

labtest:  ## run the stories of several hosts in labs of their own (root)
	@$(PYTHON) -m tools.setup --for test --with mariadb --with rabbit --with lab
	@KILONOVA_TEST_LAB=1 .venv/bin/python -m pytest tests/lab -p no:randomly --durations=5 $(ARGS)

check:  ## format, lint, types, import contracts, limits
	@$(PYTHON) -m tools.setup --for check
	@.venv/bin/python -m tools.run_checks

guide:  ## carry out the guide GUIDE (000 to 004) in a lab of its own, from its first line to its last (root)
	@$(PYTHON) -m tools.setup --for test --with mariadb --with rabbit
	@.venv/bin/python -m tools.guide $(or $(GUIDE),000) $(ARGS)

conformance:  ## run upstream's own suites, each in an environment of its own (root)
	@$(PYTHON) -m tools.setup --for test
	@.venv/bin/python -m tools.conformance_placement
	@.venv/bin/python -m tools.conformance_tempest $(ARGS)

bench:  ## measure a simulated cloud and, as root, one with real guests
	@$(PYTHON) -m tools.setup --for test --with mariadb --with postgresql --with rabbit --with nats
	@.venv/bin/python -m bench.run $(ARGS)

peer:  ## measure upstream and Kilonova under one load; DIRECTORY holds peer-install.sh and load.py (root)
	@$(PYTHON) -m tools.setup --for test --with mariadb --with rabbit
	@.venv/bin/python -m bench.peer $(DIRECTORY) $(ARGS)

format: venv  ## rewrite the code as the formatter wants it
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

venv:  ## make the development environment .venv
	@$(PYTHON) -m tools.setup --for check

lock: venv  ## resolve the dependencies anew into requirements/
	@.venv/bin/python -m tools.lock $(if $(UPGRADE),--upgrade)

clean:  ## take the cloud down and remove everything that was made here
	@$(PYTHON) -m tools.clean $(STATE_OPTION)

fresh:  ## prove the README's commands from a fresh clone (root)
	@$(PYTHON) -m tools.try_fresh

clients:  ## run the clients people have, of 2014 to today, each in an environment of its own (root)
	@$(PYTHON) -m tools.setup --for test
	@.venv/bin/python -m tools.clients $(ARGS)
