"""A slice of the soak, and what its log makes of times."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab.patience import LONG, PATIENCE
from tests.paths import ROOT
from tests.traffic.soak.log import Error, Log, Span


@pytest.mark.lab
@pytest.mark.bpf
def test_no_operation_fails_while_the_proxy_is_there() -> None:
    words = [sys.executable, "-m", "tests.traffic.soak", "--minutes", "0.1", "--pause", "0.02"]
    words += ["--patience", str(PATIENCE)]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 of them while the proxy was there" in done.stdout


def error(began: float, ended: float) -> Error:
    return Error("unbound IPv4", "short", Span("ConnectionRefusedError", began, ended))


def test_an_error_is_explained_by_an_absence_that_it_touches_and_by_no_other() -> None:
    log = Log(absences=[Span("killed", 10, 12)], applies=[Span("plain", 20, 22)])
    touching = [error(9, 10), error(10.5, 11), error(12, 16), error(9, 16)]
    apart = [error(8, 9.9), error(12.1, 16), error(20.5, 21)]
    log.errors += [*touching, *apart]
    assert log.unexplained() == apart


def test_of_an_error_it_is_said_what_came_before_during_and_after() -> None:
    log = Log([Span("killed", 10, 12), Span("ended", 30, 31)], [Span("plain", 20, 22)])
    assert list(log.lines([error(21, 25)])) == [
        "unbound IPv4 short: ConnectionRefusedError (after 4.00 s)",
        "  proxy killed: over 9.000 s before it began",
        "  proxy ended: began 5.000 s after it failed",
        "  apply plain: began -1.000 s into it, took 2.000 s",
    ]
