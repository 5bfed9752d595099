"""The whole session runs in a network and mount namespace of its own."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.lab import Lab, budget, compiled, isolate
from tests.lab.effort import cpu_seconds
from tests.lab.host import STATE, Host
from tests.lab.needed import NOT_TO_BE_HAD

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--max-skips-file", help="fail if more tests are skipped than it allows")
    usual = f"how much random work (or $EXAMPLES): {budget.USUAL} as a rule, {budget.ALL} for all"
    parser.addoption("--examples", type=int, default=budget.budget(), metavar="N", help=usual)
    drawn = budget.seed() or random.randrange(1, 1 << 32)  # noqa: S311 - a choice of tests
    again = "what the choice of random work follows from (or $EXAMPLES_SEED)"
    parser.addoption("--examples-seed", type=int, default=drawn, metavar="SEED", help=again)


def pytest_configure(config: pytest.Config) -> None:
    os.environ[budget.EXAMPLES] = str(config.getoption("--examples"))
    os.environ[budget.SEED] = str(config.getoption("--examples-seed"))
    usual = budget.examples(100)
    settings.register_profile("budget", max_examples=usual, deadline=None, print_blob=True)
    settings.load_profile("budget")
    works_for_another = hasattr(config, "workerinput")
    if not works_for_another:
        compiled.begin()
    compiled.keep()
    isolate.mind_signals()
    if isolate.is_root() and (works_for_another or not config.getoption("numprocesses", None)):
        isolate.enter_private(anew=works_for_another)
        isolate.exit_on_sigterm()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        compiled.end()


def pytest_report_header(config: pytest.Config) -> str:
    number, seed = config.getoption("--examples"), config.getoption("--examples-seed")
    return f"budget: --examples {number} --examples-seed {seed}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest begins first, or a worker is left alone with it at the end.
    items.sort(key=lambda item: not item.get_closest_marker("longest"))
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
    skipped = _counted(terminalreporter)
    if skipped > allowed:
        terminalreporter.write_line(f"{skipped} tests skipped, {allowed} allowed by {name}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    name = session.config.getoption("--max-skips-file")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not name or reporter is None or session.exitstatus != pytest.ExitCode.OK:
        return
    if _counted(reporter) > int(Path(name).read_text()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _counted(reporter: pytest.TerminalReporter) -> int:
    """How many tests were skipped, but for want of a network to download from."""
    reports = reporter.stats.get("skipped", [])
    return sum(NOT_TO_BE_HAD not in str(report.longrepr) for report in reports)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    limit = item.get_closest_marker("cpu_seconds")
    before = cpu_seconds()
    yield
    if limit is not None and (taken := cpu_seconds() - before) > limit.args[0]:
        pytest.fail(f"has had {taken:.1f} CPU seconds, more than {limit.args[0]}")


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
