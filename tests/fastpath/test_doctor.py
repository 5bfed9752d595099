"""What `--doctor` says of a host whose site file asks for the fast path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import fionread, trials
from netplan_tproxy.inspect import doctor
from netplan_tproxy.inspect.doctor import fastpath
from netplan_tproxy.inspect.doctor.finding import FAIL, OK, WARN
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.features import FASTPATH, MSG_HELPERS, SK_MSG, SOCK_OPS, Feature
from netplan_tproxy.site.model import Fastpath
from tests.datapath import support
from tests.fastpath.test_bound import ROOM, pairs, small  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from pathlib import Path

    from netplan_tproxy.inspect.doctor.finding import Finding

TAKEN = Fastpath(enabled=True, accept=("fionread",))


def of(host: support.Applied) -> dict[str, Finding]:
    with host.lab.host.entered():
        report = doctor.examine(str(host.site), named=True)
    return {finding.code: finding for finding in report.findings}


@pytest.mark.lab
@pytest.mark.bpf
def test_a_host_that_carries_it_is_not_blamed(host: support.Applied) -> None:
    told = of(host)
    assert [one.text for one in told.values() if one.level == FAIL and "fast" in one.text] == []
    assert told["network.interfaces"].level == OK
    assert told["fastpath.helpers"].level == OK
    assert told["fastpath.room"].text == "0 connections take part, 65536 at most"
    for program in ("fast_sockops", "fast_msg", "wan_egress"):
        assert program in told["tools.programs"].text
    assert told["tools.programs"].level == OK


@pytest.mark.lab
@pytest.mark.bpf
def test_fionread_is_tried(
    host: support.Applied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of(host)["fastpath.fionread"].level == (WARN if fionread.fault() else OK)
    monkeypatch.setattr(fionread, "fault", lambda: "answers 0 whatever waits")
    assert of(host)["fastpath.fionread"].level == WARN
    other = support.Applied(host.lab, tmp_path)
    other.site.write_text(host.site.read_text().replace("accept: [fionread], ", ""))
    told = of(other)["fastpath.fionread"]
    assert told.level == FAIL
    assert "accept: [fionread]" in told.advice


@pytest.mark.lab
@pytest.mark.bpf
def test_helpers_that_a_kernel_lacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trials.missing_for_fastpath() == []
    later = Feature("bpf_of_a_later_kernel", "helper", (99, 1), FASTPATH, "", number=99_999)
    other = Feature("other", "helper", (98, 0), FASTPATH, "", number=99_998)
    tables = {SOCK_OPS: (later,), SK_MSG: (*MSG_HELPERS, other)}
    monkeypatch.setattr(features, "HELPERS", tables)
    assert trials.missing_for_fastpath() == [later, other]
    told = fastpath.helpers(trials.missing_for_fastpath())
    assert told.level == FAIL
    assert "fastpath needs Linux 99.1 (bpf_of_a_later_kernel), this is" in told.text


@pytest.mark.lab
@pytest.mark.bpf
def test_a_full_one_is_told(small: support.Applied) -> None:  # noqa: F811
    with support.listener(small) as proxy, pairs(small, proxy, ROOM + 2):
        told = of(small)["fastpath.room"]
    assert told.level == WARN
    assert told.text.startswith(f"{ROOM} connections take part, {ROOM} at most; 2 came")


def test_what_is_accepted_is_a_warning_and_what_is_right_is_none() -> None:
    assert fastpath.counted(TAKEN, "").level == OK
    assert fastpath.counted(TAKEN, "answers 0").level == WARN
    assert fastpath.counted(Fastpath(enabled=True), "answers 0").level == FAIL
    assert fastpath.room(None).level == OK
