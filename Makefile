# bramble's commands for people and for CI; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
# What a fresh Debian machine lacks; virtual Pis need root, so installing can count on it too.
PACKAGES := git iproute2 mmdebstrap openssh-client python3-venv systemd-container tinyproxy

# What machines (bramble virtual up --machine) want besides.
MACHINE_PACKAGES := arch-test cpio device-tree-compiler dosfstools e2fsprogs fdisk kmod mtools \
  qemu-system-arm qemu-user-static qemu-utils socat

# What the tests of power cuts boot: Debian has it for x86 alone.
DURABILITY_PACKAGES := $(if $(filter x86_64,$(shell uname -m)),user-mode-linux)

# Where it is set, each worker would rewrite and compile all tests for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List these commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.PHONY: setup
setup: .venv/ready ## Make .venv from the lock
	@# pyinfra has Python keep no compiled modules, so each run would compile all of bramble.
	$(BIN)/python -m compileall -q bramble roles

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@# A path, not a finder in Python, which would cost each start of Python another 35 ms.
	$(BIN)/pip install -qq --disable-pip-version-check --no-deps --editable . \
	  --config-settings editable_mode=compat
	touch $@

.PHONY: system
system: # Install the Debian packages of virtual Pis where root runs this and some are missing
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    ! dpkg-query -W -f '$${db:Status-Abbrev}\n' $(PACKAGES) 2>/dev/null | \
	      awk '/^.i/ {n++} END {exit n != '$(words $(PACKAGES))'}'; then \
	  apt-get -q update && \
	  DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $(PACKAGES); \
	fi

.PHONY: try
try: system setup ## A virtual Pi from nothing to an answer (root on Debian)
	$(BIN)/bramble try

.PHONY: test
# The tests of the build program want a real CMake on this machine too, those of log2ram a gpg, those
# of power cuts a kernel of their own, and the machine's llama.cpp is compiled here.
test faults proofs trixie: PACKAGES += ccache cmake g++-aarch64-linux-gnu gcc gnupg libc6-dev ninja-build $(MACHINE_PACKAGES)
test faults proofs trixie: PACKAGES += $(DURABILITY_PACKAGES)
# The configurations of ways in and of gateways are tried on a real HAProxy.
test: PACKAGES += haproxy
# Only the longer proofs look at the page of a fleet, and have Nagios read what is written for it.
proofs: PACKAGES += chromium-headless-shell nagios4-core
test: system setup lint ## Everything: lint, fast tests, then the tests on virtual Pis
	@# Twice as many as there are processors: tests wait for programs and nodes, and for limits to pass.
	$(BIN)/pytest -q -n $$(($$(nproc) * 2)) --dist loadfile --no-loadscope-reorder -m 'not nodes' \
	  --durations 10
	$(BIN)/pytest -q -n $$(($$(nproc) * 2)) --dist loadfile --no-loadscope-reorder -m nodes --durations 20 \
	  tests/nodes tests/faults

.PHONY: faults
faults: system setup ## The fault matrix: each way to fail, and each point to be killed at
	@# Twice as many as there are processors: much of the time is limits that are waited for.
	$(BIN)/pytest -q -n $$(($$(nproc) * 2)) --dist loadfile --no-loadscope-reorder \
	  -m '(fault or untrusted) and not trixie' --thorough --every-fault --durations 20

.PHONY: proofs
proofs: system setup ## What takes too long for make test and proves no row of the matrix
	$(BIN)/pytest -q -n $$(($$(nproc) * 2)) --dist loadfile --no-loadscope-reorder \
	  -m 'thorough and not (fault or untrusted or trixie)' --thorough --durations 20

.PHONY: trixie
trixie: system setup ## On Trixie what the others prove on Bookworm, and the way from one to the other
	$(BIN)/pytest -q -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder -m trixie --thorough \
	  --durations 20 tests/nodes

.PHONY: quick
quick: setup lint ## Lint and the fast tests
	$(BIN)/pytest -q -n auto -m 'not nodes and not durability'

.PHONY: lint
lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: bench
bench: PACKAGES += ccache cmake g++-aarch64-linux-gnu ninja-build qemu-user
bench: system setup .venv-bench/ready ## Beside tuned Ansible, testinfra, curl, Debian's llama.cpp (root on Debian)
	mkdir -p reports/bench
	$(BIN)/python tests/bench/noop.py $(BENCH) | tee reports/bench/noop.txt
	$(BIN)/python tests/bench/operate.py $(OPERATE) | tee reports/bench/operate.txt
	$(BIN)/python tests/bench/transfer.py | tee reports/bench/transfer.txt
	$(BIN)/python tests/bench/model_fleet.py | tee reports/bench/model_fleet.txt
	$(BIN)/python tests/bench/engines.py $(ENGINES) | tee reports/bench/engines.txt
	$(BIN)/python tests/bench/instructions.py | tee reports/bench/instructions.txt
	$(BIN)/python tests/bench/edge.py $(EDGE) | tee reports/bench/edge.txt
	$(BIN)/python tests/bench/quoted.py \
	  $(foreach one,noop transfer model_fleet instructions,reports/bench/$(one).txt=docs/explanation/benchmarks.md) \
	  reports/bench/engines.txt=docs/explanation/variants.md

.venv-bench/ready: tests/bench/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r tests/bench/requirements.txt
	touch $@

.PHONY: docs
docs: setup ## Rewrite the generated pages and tables of docs/, and build the site into site/
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/memory_tables.py
	$(BIN)/python docs/pictures.py
	$(BIN)/sphinx-build -q -W --keep-going -c docs . site

.PHONY: pictures
pictures: PACKAGES += chromium-headless-shell
pictures: system setup ## Record the sessions of the docs on virtual Pis, and draw them (root on Debian)
	$(BIN)/python docs/record.py

.PHONY: lock
lock: ## Renew requirements.lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet pip-tools
	.venv-lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra dev \
	  --output-file requirements.lock pyproject.toml

.PHONY: clean
clean: ## Remove what these commands made in this folder
	rm -rf .venv .venv-bench .venv-lock reports build bramble-try site .pytest_cache .mypy_cache .ruff_cache *.egg-info
