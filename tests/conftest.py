"""The whole session runs in a network and mount namespace of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab, isolate
from tests.lab.host import STATE, Host

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--max-skips-file", help="fail if more tests are skipped than it allows")


def pytest_configure() -> None:
    if isolate.is_root():
        isolate.enter_private(anew="LAB_ANEW" in os.environ)
        isolate.exit_on_sigterm()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if isolate.is_root():
        return
    for item in items:
        if item.get_closest_marker("lab") or item.get_closest_marker("bpf"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    name = config.getoption("--max-skips-file")
    if not name:
        return
    allowed = int(Path(name).read_text())
    skipped = len(terminalreporter.stats.get("skipped", []))
    if skipped > allowed:
        terminalreporter.write_line(f"{skipped} tests skipped, {allowed} allowed by {name}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    name = session.config.getoption("--max-skips-file")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not name or reporter is None or session.exitstatus != pytest.ExitCode.OK:
        return
    if len(reporter.stats.get("skipped", [])) > int(Path(name).read_text()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def lab() -> Iterator[Lab]:
    """HOST with ``wan0``, and NET behind it."""
    with Lab() as made:
        yield made


@pytest.fixture
def lan_lab() -> Iterator[Lab]:
    """The same, and a LAN behind ``lan0``."""
    with Lab(lan=True) as made:
        yield made


@pytest.fixture
def host(lab: Lab, tmp_path: Path) -> Iterator[Host]:
    """HOST with the smallest site file; of the tool nothing is left by the end."""
    made = Host(lab, tmp_path)
    yield made
    made.run("--destroy")
    assert not STATE.exists()
    assert not made.pins.exists()
