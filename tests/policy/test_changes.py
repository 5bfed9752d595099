"""A changed policy is data: no program is loaded, no packet sees half of it, nothing is left."""

from __future__ import annotations

import itertools
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import SETS
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import compiler
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd, call
from netplan_tproxy.site.model import Policy
from tests.lab.patience import PATIENCE
from tests.policy import probes
from tests.policy.probes import Probe
from tests.policy.support import PolicyHost, networks

if TYPE_CHECKING:
    from netplan_tproxy.datapath.pinned_programs import PinnedProgram

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

_destinations = itertools.count(256)
BOTH = ("20.1.0.0/16", "2001:db8:1::/48")
A, B = networks(*BOTH, "20.2.0.0/16"), networks(*BOTH, "20.3.0.0/16", "2001:db8:3::/48")


def programs(host: PolicyHost) -> dict[str, PinnedProgram]:
    with host.lab.host.entered(), Kernel() as kernel, kernel.snapshot() as seen:
        return seen.programs


def map_ids(host: PolicyHost) -> set[int]:
    """The ids of the sets that are pinned, and of those that the programs find."""
    pinned = set()
    for path in (host.pins / "sets").glob("*"):
        with bpf_maps.open_pinned(str(path)) as fd:
            pinned.add(bpf_maps.map_info(fd).id)
    with bpf_maps.open_pinned(str(host.pins / "maps" / SETS.pin)) as fd:
        found = {
            int.from_bytes(bpf_maps.lookup(fd, key, 4) or b"", sys.byteorder)
            for key in bpf_maps.keys(fd, 8)
        }
    assert pinned == found
    return pinned


def exists(number: int) -> bool:
    try:
        Fd(call("bpf_map_get_fd_by_id", number, what="open map")).close()
    except KernelError:
        return False
    return True


def test_a_changed_policy_loads_no_program_and_imports_no_bcc(
    host: PolicyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = programs(host)
    compiler._compile.cache_clear()
    monkeypatch.setitem(sys.modules, "bcc", None)
    host.applied(
        Policy(
            intercept_from=A, intercept_to=B, intercept_ports=((1, 9),), protocols=("tcp",),
            bypass_from=A, bypass_to=B, bypass_ports=((5, 5),), bypass_users=("daemon",),
        )
    )  # fmt: skip
    assert programs(host) == before
    host.applied(Policy())
    assert programs(host) == before


def test_sets_that_are_named_no_more_are_gone_from_the_kernel(host: PolicyHost) -> None:
    assert map_ids(host) == set()
    seen: set[int] = set()
    for turn in range(20):
        host.applied(
            Policy(intercept_ports=((1, 1000 + turn),), bypass_to=networks(f"20.{turn}.0.0/16"))
        )
        now = map_ids(host)
        assert len(now) == 2
        seen |= now
    assert len(seen) == 40
    host.applied(Policy())
    assert map_ids(host) == set()
    # The outer map lets go of a set when no program can be reading it any more.
    deadline = threading.Event()
    for _ in range(100):
        if not any(map(exists, seen)):
            break
        deadline.wait(0.02)
    assert not [number for number in seen if exists(number)]


def test_equal_contents_are_one_set(host: PolicyHost) -> None:
    shown = host.applied(Policy(intercept_to=A, bypass_to=tuple(reversed(A))))
    assert [line for line in shown if line.startswith("+ set")] == [
        "+ set intercept.to: 3 prefixes"
    ]
    assert host.outcome(Probe(to="20.1.2.3")) == "bypass_to"
    host.applied(Policy(bypass_to=A))
    assert host.outcome(Probe(to="20.1.2.3")) == "bypass_to"
    assert host.outcome(Probe(to="20.9.2.3")) == "intercepted"
    assert len(map_ids(host)) == 1


CHANGES = {
    "bypass.to": ((Policy(bypass_to=A), Policy(bypass_to=B)), False),
    "intercept.to": ((Policy(intercept_to=A), Policy(intercept_to=B)), True),
    "from one dimension to another": (
        (Policy(bypass_to=A), Policy(bypass_ports=((80, 80),))), False,
    ),
    "from bypassed to not named": (
        (Policy(bypass_to=A), Policy(intercept_ports=((443, 443),))), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_no_packet_sees_half_of_a_change(host: PolicyHost, name: str) -> None:
    policies, expected = CHANGES[name]
    host.applied(policies[1])
    stop = threading.Event()
    seen: list[bool] = []
    failed: list[object] = []

    def connect() -> None:
        probe = Probe()
        try:
            for number in range(15_000):
                if stop.is_set():
                    return
                # Datagrams to one address from one port would be one flow.
                to = next(_destinations)
                probe = Probe(
                    ("output", "forward")[number & 1],
                    ("tcp", "udp")[number >> 1 & 1],
                    (f"20.1.{to >> 8}.{to & 255}", f"2001:db8:1::{to:x}")[number >> 2 & 1],
                )
                with probe.socket(host.lab) as near:
                    seen.append(probes.taken(near, (probe.to, probe.port), host.proxy))
        except BaseException as failure:  # noqa: BLE001 - reported by the test's own thread
            failed.append((probe, len(seen), failure))

    client = threading.Thread(target=connect)
    client.start()
    try:
        for turn in range(20):
            host.applied(policies[turn % 2])
    finally:
        stop.set()
        client.join(PATIENCE)
    assert failed == []
    assert len(seen) > 100
    assert set(seen) == {expected}
