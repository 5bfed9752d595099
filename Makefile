# Debian 12, root. `make demo` and `make test` install what they need and nothing twice.
PACKAGES := python3-bpfcc python3-venv linux-libc-dev iproute2 curl nftables tcpdump util-linux procps
# What the tests run: the proxies of examples/, what reads our unit, manual page, completion and
# JSON, and what injects faults.
TEST_PACKAGES := haproxy squid v2ray shadowsocks-libev systemd man-db mandoc zsh fish strace jq
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs-check format man packages test-packages clean

help:
	@echo "make demo    see it work, in namespaces that vanish afterwards"
	@echo "make test    lint, types, import rules and all tests"
	@echo "make lint    only the static checks"
	@echo "make docs-check  spelling, and the form of Markdown"
	@echo "make format  let ruff rewrite what it can"
	@echo "make man     write docs/tproxy-apply.8 anew, from the options there are"

packages:
	@missing=$$(for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -q --no-install-recommends $$missing; fi

# A proxy that is installed for the tests must not start on this machine: while it is being
# installed, the init system is told so (invoke-rc.d(8), /usr/sbin/policy-rc.d).
test-packages: packages
	@missing=$$(for p in $(TEST_PACKAGES); do \
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
.venv/pyvenv.cfg: | packages
	/usr/bin/python3 -m venv --system-site-packages .venv

.venv/run.stamp: pyproject.toml .venv/pyvenv.cfg
	$(BIN)/pip install -q --disable-pip-version-check -e .
	@touch $@

.venv/dev.stamp: pyproject.toml .venv/pyvenv.cfg
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/run.stamp

demo: packages .venv/run.stamp
	@$(BIN)/python -m tests.demo.demo

lint: packages .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint test-packages
	$(BIN)/python -m pytest --max-skips-file=.ci/skips $(PYTEST_ARGS)

docs-check: .venv/dev.stamp
	$(BIN)/codespell
	$(BIN)/pymarkdown scan README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs bpf tests

format: packages .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

man: .venv/run.stamp
	$(BIN)/python -m netplan_tproxy.cli.manpage >docs/tproxy-apply.8.new
	mv docs/tproxy-apply.8.new docs/tproxy-apply.8

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
