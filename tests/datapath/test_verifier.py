"""How much the verifier walks: nearly all the time that an apply takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.host.release import linux_version
from tests.lab.cgroups import cgroup
from tests.lab.host import SITE as SMALLEST
from tests.lab.host import Host
from tests.lab.needed import need_fastpath
from tests.lab.verifier import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.lab import Lab

pytestmark = pytest.mark.lab

SITE = """
version: 1
interfaces: {wan0: {}, lan0: {intercept: [output, forward]}, tun0: {intercept: [output, forward]}}
proxy:
  tcp: {port: 9040}
  tcp6: {port: 9040}
  udp: {port: 9040}
  udp6: {port: 9040}
"""

# Steps on Linux 6.18, and a third more: docs/kernels.md has those of other kernels.
MOST = {
    "wan_egress": 48_000, "wan_egress_l3": 55_000,
    "lan_ingress": 42_000, "lan_ingress_l3": 45_000,
    "wan_ingress": 3_000,
    "lo_ingress": 6_500, "lo_egress": 9_000,
}  # fmt: skip
# 5.10 and 6.1 walk alike. There a socket is read by a helper, and branches are told apart longer.
MOST_BEFORE_6_2 = MOST | {
    "wan_egress": 74_000, "wan_egress_l3": 81_000, "wan_ingress": 4_100, "lo_ingress": 13_000,
}  # fmt: skip
MOST_FAST = {"fast_sockops": 2_100, "fast_msg": 500}


def hold(
    steps: Mapping[str, int], most: Mapping[str, int], say: Callable[[str, object], None]
) -> None:
    for program, count in steps.items():
        say(program, count)  # into the report, for `make kernels`
    assert steps.keys() == most.keys()
    assert not {name: count for name, count in steps.items() if not 0 < count <= most[name]}, steps


def test_each_program_is_verified_in_few_steps(
    lan_lab: Lab, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    host = Host(lan_lab, tmp_path)
    lan_lab.host.run(["ip", "tuntap", "add", "tun0", "mode", "tun"])
    lan_lab.host.run(["ip", "link", "set", "tun0", "up"])
    host.site.write_text(SITE)
    with counted() as steps:
        host.applied()
    host.destroyed()
    most = MOST if linux_version() >= (6, 2) else MOST_BEFORE_6_2
    hold(steps, most, record_property)


def test_so_is_each_of_the_fast_path(
    lab: Lab, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    need_fastpath()
    host = Host(lab, tmp_path)
    with cgroup() as group, counted() as steps:
        fast = f"fastpath: {{enabled: true, accept: [fionread], cgroup: {group}}}\n"
        host.site.write_text(SMALLEST + fast)
        host.applied()
        host.destroyed()
    ours = {name: count for name, count in steps.items() if name not in MOST}
    hold(ours, MOST_FAST, record_property)
