"""-v logs each change with the kernel's answer; what takes long says so on a terminal alone."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.output import progress
from tests.lab.host import Host
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def test_every_change_is_logged_and_the_plan_stays_on_standard_output(host: Host) -> None:
    quiet = host.spawn(str(host.site), "--dry-run", "-v")
    done = host.spawn(str(host.site), "-v")
    assert done.plan == quiet.plan
    logged = [line.partition(" ms  ")[2] for line in done.err.splitlines()]
    changes = [line for line in quiet.out if line[:2] in {"+ ", "~ ", "- "}]
    assert sorted(line for line in logged if not line.startswith(" ")) == sorted(changes)
    assert "  netlink: add rule 1000: done" in logged
    assert "  sysctl: set net/ipv4/conf/lo/accept_local to 1: done" in logged
    assert [line for line in logged if line.startswith("  bpf: load program wan_egress")]


def test_a_refusal_is_logged_with_what_is_undone(host: Host) -> None:
    host.write(host.site.read_text() + "sysctls: {net.ipv4.ip_default_ttl: 999}\n")
    done = host.spawn(str(host.site), "-v")
    assert done.code == 3
    logged = [line.partition(" ms  ")[2] for line in done.err.splitlines()]
    assert "  sysctl: set net/ipv4/ip_default_ttl to 999: Invalid argument" in logged
    assert [line for line in logged if line.startswith("undo: ~ sysctl")]


def test_the_journal_gets_priorities(tmp_path: Path) -> None:
    target = tmp_path / "journal"
    code = (
        "import os, sys, logging; s = os.fstat(2); "
        "os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'; "
        "from netplan_tproxy.output import log; log.to_stderr(); "
        "logging.getLogger('netplan_tproxy.x').debug('one'); "
        "logging.getLogger('netplan_tproxy.x').warning('two')"
    )
    with target.open("w") as stream:
        subprocess.run(
            [sys.executable, "-c", code], stderr=stream, cwd=ROOT, check=True, timeout=20
        )
    assert target.read_text() == "<7>one\n<4>two\n"


def test_what_is_quick_or_not_on_a_terminal_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(progress, "PATIENCE", 0.01)
    with progress.busy("reading"):
        time.sleep(0.05)
    assert written.getvalue() == ""


def test_what_takes_long_is_named_and_the_words_go(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = pty.openpty()
    with (
        os.fdopen(theirs, "w", buffering=1) as terminal,
        os.fdopen(mine, "rb", buffering=0) as seen,
    ):
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(progress, "PATIENCE", 0.01)
        with progress.busy("compiling"):
            time.sleep(0.1)
        said = b""
        while not said.endswith(b"\x1b[K"):
            said += seen.read(100)
        assert said == "compiling …\r\x1b[K".encode()
        with progress.busy("quick"):
            pass
        os.set_blocking(mine, False)
        assert seen.read(100) is None


def test_logging_is_off_unless_asked_for(host: Host) -> None:
    assert host.spawn(str(host.site)).err == ""
