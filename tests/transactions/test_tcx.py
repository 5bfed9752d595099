"""Links in front of all filters (tcx) are owned as filters are."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf import tcx
from netplan_tproxy.kernel.bpf.maps import open_pinned
from tests.lab import Lab, diff_snapshots
from tests.lab.foreign import program_of_others, put_tcx
from tests.lab.host import SITE, Host
from tests.lab.tcx import HAS_TCX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netplan_tproxy.kernel.bpf.libbpf import Fd

pytestmark = [
    pytest.mark.lab,
    pytest.mark.bpf,
    pytest.mark.skipif(not HAS_TCX, reason="tcx came with Linux 6.6"),
]

BY_TCX, BY_FILTER = f"{SITE}attach: tcx\n", f"{SITE}attach: clsact\n"
EGRESS = "tcx wan0 egress"
# Ours, by what a hook of a device runs.
CHANGES_OVER = 4


def pin_of(host: Host, device: str = "wan0", hook: str = "egress") -> Path:
    number = host.sh(f"ip -o link show {device}").split(":")[0]
    return host.pins / "links" / f"{hook}@{number}"


def running(host: Host, device: str = "wan0", hook: str = "egress") -> list[int]:
    with host.namespace.entered():
        number = int(pin_of(host, device, hook).name.partition("@")[2])
        return tcx.programs(number, hook)


@contextlib.contextmanager
def link_of(host: Host) -> Iterator[Fd]:
    with host.namespace.entered(), open_pinned(str(pin_of(host))) as link:
        yield link


def detached(host: Host) -> None:
    with link_of(host) as link:
        tcx.detach(link)


def unpinned(host: Host) -> None:
    pin_of(host).unlink()


def given_another_program(host: Host) -> None:
    with link_of(host) as link, program_of_others() as program:
        tcx.exchange(link, int(program))


def program_unpinned(host: Host) -> None:
    host.pin("programs", "wan_egress").unlink()


ANOTHER = f"~ {EGRESS}: another program, id "
DRIFTS: dict[str, tuple[Callable[[Host], None], list[str]]] = {
    "detached": (detached, [f"+ {EGRESS}"]),
    "unpinned": (unpinned, [f"+ {EGRESS}"]),
    "given another program": (given_another_program, [ANOTHER]),
    "its program unpinned": (program_unpinned, ["+ program wan_egress@", ANOTHER]),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_shown_and_repaired_and_nothing_else_is_touched(host: Host, name: str) -> None:
    before = host.look()
    host.write(BY_TCX)
    host.applied()
    good = host.look()
    drift, expected = DRIFTS[name]
    drift(host)
    assert host.apply("--check").code == 2
    done = host.apply("-v")
    assert len(done.changes) == len(expected)
    for line, start in zip(done.changes, expected, strict=True):
        assert line.startswith(start)
    assert diff_snapshots(good, host.look()) == []
    assert host.applied().out[-1] == "no changes"
    drift(host)
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []
    assert not host.pins.exists()


def made(host: Host) -> list[str]:
    """What an apply attaches and takes away, in the order in which it does."""
    return re.findall(r"ms  ([+-] (?:tcx|filter)) ", host.apply("-v").err)


def test_filters_and_links_change_places_and_leave_nothing_of_the_other(host: Host) -> None:
    before = host.look()
    host.write(BY_FILTER)
    host.applied()
    by_filter = host.look()
    host.write(BY_TCX)
    assert made(host) == ["+ tcx"] * CHANGES_OVER + ["- filter"] * CHANGES_OVER
    by_tcx = host.look()
    assert (by_tcx["filters"], len(by_tcx["programs"])) == ([], CHANGES_OVER)
    assert not [line for line in by_tcx["qdiscs"] if "clsact" in line]
    host.write(BY_FILTER)
    assert made(host) == ["+ filter"] * CHANGES_OVER + ["- tcx"] * CHANGES_OVER
    assert diff_snapshots(by_filter, host.look()) == []
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []


def test_beside_tcx_programs_of_others_ours_is_a_link_before_them_on_that_hook(host: Host) -> None:
    host.applied()
    plain = host.look()
    with put_tcx(host.namespace, "wan0", "egress"):
        (theirs,) = running(host)
        assert host.apply("--check").code == 2
        shown = host.apply("-v").changes
        assert [line.partition(": ")[0] for line in shown] == [
            f"+ {EGRESS}",
            "- filter wan0 egress",
        ]
        assert running(host)[1:] == [theirs]
        assert host.applied().out[-1] == "no changes"
        with put_tcx(host.namespace, "wan0", "egress"):
            assert host.applied().out[-1] == "no changes"
            assert running(host)[1] == theirs
    assert host.apply("--check").code == 2
    host.applied()
    assert diff_snapshots(plain, host.look()) == []


def test_a_first_apply_beside_others_needs_no_qdisc_where_every_hook_is_theirs_too(
    host: Host,
) -> None:
    before = host.look()
    with contextlib.ExitStack() as held:
        for hook in tcx.HOOKS:
            held.enter_context(put_tcx(host.namespace, "wan0", hook))
        host.applied()
        assert not [line for line in host.look()["qdiscs"] if "wan0" in line and "clsact" in line]
        host.destroyed()
    assert diff_snapshots(before, host.look()) == []


def test_who_wants_filters_beside_others_is_told_what_they_miss(host: Host) -> None:
    host.write(BY_FILTER)
    with put_tcx(host.namespace, "wan0", "egress"):
        said = "\n".join(host.applied().out)
    assert "! tcx programs of others run before every filter on wan0 egress" in said
    host.destroyed()


def test_a_kernel_without_tcx_refuses_it_at_its_line_and_takes_filters_for_auto(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcx, "is_known", lambda: False)
    monkeypatch.setattr(tcx, "programs", lambda *_: [])
    monkeypatch.setattr(features, "linux_version", lambda: (6, 1))
    host.write(BY_TCX)
    refused = host.apply()
    place = f"{host.site}:{BY_TCX.count(os.linesep)}:1: attach"
    said = "tcx needs Linux 6.6 (BPF_TCX_INGRESS, BPF_TCX_EGRESS), this is 6.1; nothing was touched"
    assert (refused.code, refused.err) == (1, f"tproxy-apply: {place}: {said}\n")
    host.write(SITE)
    host.applied()
    assert len(host.look()["filters"]) == 2 * CHANGES_OVER
    host.destroyed()


def test_a_device_that_went_and_came_back_is_set_up_again(host: Host) -> None:
    host.write(BY_TCX)
    host.applied()
    old = pin_of(host)
    host.sh(
        "ip link del wan0",
        f"ip link add wan0 type veth peer name isp0 netns {host.lab.net.name}",
        "ip link set wan0 up",
    )
    assert [line[:10] for line in host.apply("-v").changes] == ["+ tcx wan0"] * 2
    assert host.applied().out[-1] == "no changes"
    # The number of the old one may be another device's some day.
    assert old == pin_of(host) or not old.exists()
    host.destroyed()
    assert not host.pins.exists()


def test_a_device_in_another_namespace_is_left_by_the_next_run(host: Host, lab: Lab) -> None:
    host.write(BY_TCX)
    host.applied()
    number = int(pin_of(host).name.partition("@")[2])
    host.sh(f"ip link set wan0 netns {lab.net.name}")
    host.destroyed()
    assert not host.pins.exists()
    with lab.net.entered():
        assert tcx.programs(number, "egress") == []


def test_a_renamed_device_loses_its_links_with_the_next_destroy(host: Host) -> None:
    host.write(BY_TCX)
    host.applied()
    host.sh("ip link set wan0 down", "ip link set wan0 name uplink")
    assert "- tcx uplink egress" in "\n".join(host.destroyed().out)
    assert running(host, "uplink") == []


def test_what_carries_our_sign_is_found_without_a_ledger(host: Host) -> None:
    before = host.look()
    host.write(BY_TCX)
    host.applied()
    for path in host.state.glob("ledger*"):
        path.unlink()
    assert host.applied().out[-1] == "no changes"
    for path in host.state.glob("ledger*"):
        path.unlink()
    host.destroyed()
    assert host.look()["programs"] == before["programs"]


def test_the_reports_say_what_sits_how(host: Host) -> None:
    with put_tcx(host.namespace, "wan0", "egress"):
        host.applied()
        status = "\n".join(host.run("--status").out)
        explained = host.run("--explain", "1.1.1.1:80").out[0]
        told = host.run("--status", "--json").out
    assert "egress (tcx)  wan_egress " in status
    assert "ingress       wan_ingress " in status
    assert "leaves by wan0 (tcx)" in explained
    assert '"attach": "tcx"' in "".join(told)
    assert '"attach": "clsact"' in "".join(told)
    host.destroyed()
