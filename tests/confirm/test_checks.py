"""``--probe`` and ``checks:``: what worked before a change works after it, or it goes back."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.lab import HttpServer
from tests.lab.host import SITE, Host, unchanged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

NOTHING_APPLIED = "! ip rule list | grep -q 0x1/0x1"


def test_a_probe_that_fails_after_the_change_takes_it_back(host: Host) -> None:
    with unchanged(host.stare):
        done = host.apply("--probe", NOTHING_APPLIED)
    assert done.code == 3
    assert done.err == (
        f"tproxy-apply: probe {NOTHING_APPLIED!r}: passed before the change and fails after it; "
        "everything was put back\n"
    )


def test_a_probe_that_fails_already_says_nothing(host: Host) -> None:
    done = host.apply("--probe", "false")
    assert done.code == 0
    assert "= probe 'false': fails already, so it can't tell anything" in done.out


def test_every_probe_is_asked(host: Host, tmp_path: Path) -> None:
    asked = [tmp_path / "one", tmp_path / "two"]
    probes = [word for path in asked for word in ("--probe", f"echo >> {path}")]
    assert host.apply(*probes).code == 0
    assert [len(path.read_text()) for path in asked] == [2, 2]


def test_without_changes_nothing_is_asked(host: Host, tmp_path: Path) -> None:
    host.applied()
    assert host.apply("--probe", f"touch {tmp_path / 'asked'}").out == ["no changes"]
    assert not (tmp_path / "asked").exists()


def test_a_probe_that_hangs_fails_in_time(host: Host, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    hang = f"test -e {flag} && sleep 60; touch {flag}"
    with unchanged(host.stare):
        done = host.apply("--probe", hang)
    assert done.code == 3


def test_a_connection_that_nobody_takes_any_more_takes_the_change_back(host: Host) -> None:
    host.write(SITE + "checks: [{tcp: '1.1.1.1:80', timeout: 2}]\n")
    with HttpServer(host.lab.net), unchanged(host.stare):
        done = host.apply()
    assert done.code == 3
    assert "tcp 1.1.1.1:80: passed before the change and fails after it" in done.err


def test_what_goes_on_working_keeps_the_change(host: Host) -> None:
    checks = "checks: [{tcp: '10.77.0.1:80'}, {ping: 10.77.0.1}, {dns: localhost}]\n"
    host.write(SITE + "bypass: {to: [10.77.0.0/24]}\n" + checks)
    with HttpServer(host.lab.net, "10.77.0.1"):
        done = host.applied()
    assert not [line for line in done.out if line.startswith("=")]
    assert host.applied().out == ["no changes"]


def test_checks_guard_a_confirmed_run_too(host: Host) -> None:
    with unchanged(host.stare):
        done = host.spawn(str(host.site), "--confirm", "20", "--probe", NOTHING_APPLIED)
    assert done.code == 3
    assert "passed before the change and fails after it" in done.err


@contextlib.contextmanager
def proxy(host: Host) -> Iterator[socket.socket]:
    with host.namespace.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT
        listening.bind(("127.0.0.1", 9040))
        listening.listen(16)
        listening.settimeout(0)
        yield listening


CHECKED = SITE + "checks: [{intercepted: '1.1.1.1:80', timeout: 1}]\n"


def test_a_change_that_ends_interception_is_taken_back(host: Host) -> None:
    host.applied()
    with proxy(host) as listening:
        host.write(CHECKED + "bypass: {ports: [80]}\n")
        with unchanged(host.stare):
            done = host.apply()
        assert done.code == 3
        assert "intercepted 1.1.1.1:80: passed before the change and fails after it" in done.err
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_change_that_keeps_interception_stays(host: Host) -> None:
    host.applied()
    host.write(CHECKED + "bypass: {ports: [22]}\n")
    with proxy(host), HttpServer(host.lab.net) as far:
        done = host.applied()
        assert far.peers == []
    assert not [line for line in done.out if line.startswith("=")]


def test_what_was_not_intercepted_before_the_first_apply_says_nothing(host: Host) -> None:
    host.write(CHECKED)
    with proxy(host), HttpServer(host.lab.net) as far:
        done = host.applied()
        assert far.peers == []
    assert "= check intercepted 1.1.1.1:80: fails already, so it can't tell anything" in done.out
