# `make lint` and `make check` need Python (3.11 to 3.14) with its venv, no root and no package.
# `make demo` and `make test` need Debian 12 and root, and install what is missing.
PACKAGES := python3-bpfcc python3-venv linux-libc-dev iproute2 curl nftables tcpdump util-linux procps
# What the tests run: the proxies of examples/, what reads our unit, manual page, completion and
# JSON, and what injects faults.
TEST_PACKAGES := time haproxy squid v2ray shadowsocks-libev systemd man-db mandoc zsh fish strace jq \
  wrk
# What boots another kernel, in software emulation (tests/kernels/).
KERNEL_PACKAGES := qemu-system-x86 busybox-static kmod
BIN := .venv/bin
# BCC's module is that of Debian's own Python.
PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
STATIC := ruff format-check types imports
# Much of a test is waiting for the kernel, so there is work for more of them than CPUs.
WORKERS := $(shell expr 3 '*' $$(nproc))
EXAMPLES := 400
# So much random work is in each run of all tests.
FEW_EXAMPLES := 20
# Of traffic while the proxy dies and comes back and the site file changes.
MINUTES := 10
# The tests start the program thousands of times: each start would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo check test soak lint docs-check compiled editors $(STATIC) quick format man packages test-packages kernel kernels deb \
  distros clean

help:
	@echo "make demo    see it work, in namespaces that vanish afterwards"
	@echo "make lint    the static checks: ruff, mypy, the import rules"
	@echo "make check   the same, spelling, and every test that needs no kernel; no root"
	@echo "make test    lint and all tests, as CI runs them; root"
	@echo "make editors what editors (yaml-language-server) make of the schema; needs npm"
	@echo "make deb     the package for Debian: build/deb/*.deb; root"
	@echo "make distros install it, try it and take it away in Debian 12, 13 and sid; root"
	@echo "make soak    all tests with ten times the random work ($(EXAMPLES) histories)"
	@echo "             and $(MINUTES) minutes of traffic under kills and applies; root"
	@echo "make kernels the demo and the tests of the datapath on other kernels, in software"
	@echo "             emulation, and docs/kernels.md from that; hours; root"
	@echo "make format  let ruff rewrite what it can"
	@echo "make man     write docs/*.8 anew, from the options there are"

packages:
	@missing=$$(for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -q --no-install-recommends $$missing; fi

# A proxy that is installed for the tests must not start on this machine: while it is being
# installed, the init system is told so (invoke-rc.d(8), /usr/sbin/policy-rc.d).
test-packages: packages
	@missing=$$(for p in $(TEST_PACKAGES) $(KERNEL_PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  policy=/usr/sbin/policy-rc.d; kept=; \
	  if [ ! -e $$policy ]; then \
	    printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; kept=$$policy; \
	  fi; \
	  trap '[ -z "$$kept" ] || rm -f "$$kept"' EXIT; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
	  apt-get install -y -q --no-install-recommends $$missing; fi

# BCC's module is Debian's, so the environment sees the system's packages.
.venv/pyvenv.cfg:
	$(PYTHON) -m venv --system-site-packages .venv

.venv/run.stamp: pyproject.toml .venv/pyvenv.cfg
	$(BIN)/pip install -q --disable-pip-version-check -e .
	@touch $@

.venv/dev.stamp: pyproject.toml .venv/pyvenv.cfg
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/run.stamp

demo: packages
	@$(MAKE) --no-print-directory .venv/run.stamp
	@$(BIN)/python -m tests.demo.demo

ruff: .venv/dev.stamp
	$(BIN)/ruff check .

format-check: .venv/dev.stamp
	$(BIN)/ruff format --check .

types: .venv/dev.stamp
	$(BIN)/mypy

imports: .venv/dev.stamp
	$(BIN)/lint-imports

compiled: .venv/dev.stamp
	@$(BIN)/python -m compileall -q netplan_tproxy tests/lab

quick: compiled
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not lab and not bpf' --examples 10 \
  $(PYTEST_ARGS)

lint: .venv/dev.stamp
	@$(MAKE) --no-print-directory -j4 -O $(STATIC)

docs-check: .venv/dev.stamp
	$(BIN)/codespell
	$(BIN)/reuse lint --quiet
	$(BIN)/pymarkdown scan README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs bpf tests

check: .venv/dev.stamp
	@$(MAKE) --no-print-directory -j4 -O quick docs-check $(STATIC)

# What editors make of the schema, and ajv of both: packages from npm, so no part of `make test`.
EDITOR_PACKAGES := yaml-language-server@1 ajv@8 ajv-formats@3
build/editors.stamp: Makefile
	@mkdir -p build/editors
	npm install --prefix build/editors --no-audit --no-fund --loglevel=error $(EDITOR_PACKAGES)
	@touch $@

editors: .venv/dev.stamp build/editors.stamp
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/editors/editors.py $(PYTEST_ARGS)

# In roots of Debian's releases, made below build/distros by mmdebstrap.
DISTRO_PACKAGES := mmdebstrap
deb: .venv/dev.stamp
	@$(MAKE) --no-print-directory packages PACKAGES='$(DISTRO_PACKAGES)'
	$(BIN)/python -m tests.distros.deb

distros: .venv/dev.stamp
	@$(MAKE) --no-print-directory packages PACKAGES='$(DISTRO_PACKAGES)'
	$(BIN)/python -m tests.distros $(DISTROS_ARGS)
	$(BIN)/python docs/distributions.py

ALL_TESTS := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=10 \
  --max-skips-file=.ci/skips

# Debian 12's own kernel, once, into the user's cache. Without it a test is skipped and says why.
kernel: test-packages compiled
	@$(BIN)/python -m tests.kernels --fetch 6.1

# To take up again: $(BIN)/python -m tests.kernels --keep --suite traffic 5.10
kernels: KERNEL_PACKAGES += qemu-system-arm
kernels: test-packages compiled
	$(BIN)/python -m tests.kernels --keep

test: test-packages
	@$(MAKE) --no-print-directory lint compiled kernel
	@$(BIN)/python -m pytest -q --collect-only >/dev/null  # the workers load what it compiles
	$(ALL_TESTS) --examples $(FEW_EXAMPLES) $(PYTEST_ARGS)

soak: test-packages compiled
	$(ALL_TESTS) --examples $(EXAMPLES) --timeout 7200 $(PYTEST_ARGS)
	$(BIN)/python -m tests.traffic.soak --minutes $(MINUTES)

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

man: .venv/run.stamp
	for page in tproxy-apply tproxy-relay; do \
	  $(BIN)/python -m netplan_tproxy.cli.manpage $$page >docs/$$page.8.new && \
	  mv docs/$$page.8.new docs/$$page.8 || exit 1; \
	done

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
