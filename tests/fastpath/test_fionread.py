"""FIONREAD on a socket of a SOCKHASH, and what is done about a kernel that gets it wrong."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import fionread
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.features import SOCK_OPS
from tests.fastpath.support import Counted, fast, receive
from tests.lab.host import SITE, Host
from tests.lab.leaks import nothing_left
from tests.lab.patience import comes_true

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datapath import support
    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def waiting(end: socket.socket) -> int:
    """What FIONREAD says."""
    return int(struct.unpack("=i", fcntl.ioctl(end, termios.FIONREAD, bytes(4)))[0])


def test_the_probe_says_what_a_real_connection_shows(
    host: support.Applied, proxy: socket.socket
) -> None:
    counted = Counted(host)
    pair = host.pair(proxy)
    with pair.near, pair.far:
        pair.near.sendall(b"x" * 1000)
        redirected = waiting(pair.far)
        assert receive(pair.far, 1000) == b"x" * 1000
        # More than the budget: that direction is TCP's for good.
        pair.near.sendall(b"y" * 300_000)
        assert receive(pair.far, 300_000) == b"y" * 300_000
        pair.near.sendall(b"z" * 1000)
        assert comes_true(lambda: pair.far.recv(1000, socket.MSG_PEEK) == b"z" * 1000)
        over_tcp = waiting(pair.far)
    assert counted()["demoted_budget"] == 1
    wrong = {(1000, 1000): 0, (0, 1000): 1, (1000, 0): 2, (0, 0): 3}
    assert fionread.fault() == fionread.FAULTS[wrong[redirected, over_tcp]]


def test_a_kernel_that_gets_it_wrong_is_refused_unless_the_file_accepts_it(
    lab: Lab, tmp_path: Path, cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Host(lab, tmp_path)
    monkeypatch.setattr(fionread, "fault", lambda: "answers 0 while bytes wait that came over TCP")
    with nothing_left(machine):
        machine.write(SITE + fast(cgroup).replace("accept: [fionread], ", ""))
        before = machine.stare()
        refused = machine.apply()
        assert refused.code == 1
        assert "fastpath.enabled: on this kernel FIONREAD answers 0 while bytes wait" in refused.err
        assert refused.err.endswith("accept: [fionread] takes that risk; nothing was touched\n")
        assert machine.stare() == before
        assert machine.apply("--dry-run").code == 1
        machine.write(SITE + fast(cgroup))
        machine.applied()


def test_a_kernel_that_gets_it_right_needs_no_word(
    lab: Lab, tmp_path: Path, cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Host(lab, tmp_path)
    monkeypatch.setattr(fionread, "fault", str)
    with nothing_left(machine):
        machine.write(SITE + fast(cgroup).replace("accept: [fionread], ", ""))
        machine.applied()


def test_where_it_can_not_be_tried_nothing_is_taken_for_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fionread.fault.cache_clear()
    monkeypatch.setattr(fionread, "REDIRECT", b"nonsense")
    assert fionread.fault() == "could not be tried"
    fionread.fault.cache_clear()


@pytest.mark.parametrize("word", ["bpf_skc_to_mptcp_sock", "unknown"])
def test_a_missing_helper_is_named_with_the_kernel_that_has_it(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(features, "linux_version", lambda: (5, 10))
    log = f"invalid func {word}#196\n"
    refusal = bpf_programs.explained("fast_sockops", KernelError("no", 22), log, SOCK_OPS)
    said = "program fast_sockops needs Linux 5.19 (bpf_skc_to_mptcp_sock), this is 5.10"
    assert str(refusal) == f"{said}; nothing was touched"
