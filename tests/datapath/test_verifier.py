"""How much the verifier walks: nearly all the time that an apply takes."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.bpf.libbpf import call
from netplan_tproxy.kernel.bpf.maps import open_pinned
from tests.lab.host import Host

if TYPE_CHECKING:
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

# Steps on Linux 6.18, and a third more: other kernels walk a little more or less.
MOST = {
    "wan_egress": 40_000, "wan_egress_l3": 45_000,
    "lan_ingress": 42_000, "lan_ingress_l3": 45_000,
    "wan_ingress": 3_000,
    "lo_ingress": 6_500, "lo_egress": 9_000,
}  # fmt: skip


def verified(program: Path) -> int:
    """How many instructions were walked (bpf_prog_info.verified_insns, Linux 5.16)."""
    buffer = ctypes.create_string_buffer(232)
    with open_pinned(str(program)) as fd:
        size = ctypes.c_uint32(len(buffer))
        call("bpf_obj_get_info_by_fd", int(fd), buffer, ctypes.byref(size), what="read program")
    (steps,) = struct.unpack_from("=I", buffer.raw, 216)
    return int(steps)


def test_each_program_is_verified_in_few_steps(lan_lab: Lab, tmp_path: Path) -> None:
    host = Host(lan_lab, tmp_path)
    lan_lab.host.run(["ip", "tuntap", "add", "tun0", "mode", "tun"])
    lan_lab.host.run(["ip", "link", "set", "tun0", "up"])
    host.site.write_text(SITE)
    host.applied()
    steps = {pin.name.split("@")[0]: verified(pin) for pin in (host.pins / "programs").iterdir()}
    host.destroyed()
    assert steps.keys() == MOST.keys()
    assert not {name: count for name, count in steps.items() if not 0 < count <= MOST[name]}, steps
