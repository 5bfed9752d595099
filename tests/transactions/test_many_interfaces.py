"""Many intercepted interfaces: what is read does not grow with each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.links import Links

if TYPE_CHECKING:
    from netplan_tproxy.kernel.netlink.links import Link
    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
MANY = 20


def dumps(host: Host, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run, and count how often all devices were read."""
    read, counted = Links.links, []

    def counting(netlink: Links) -> dict[str, Link]:
        counted.append(1)
        return read(netlink)

    with monkeypatch.context() as patch:
        patch.setattr(Links, "links", counting)
        done = host.run(*arguments)
    assert done.code == 0, done.err
    return len(counted)


def test_all_devices_are_read_as_often_for_many_interfaces_as_for_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    few = [dumps(host, monkeypatch, word) for word in (str(host.site), "--destroy")]
    names = [f"many{number}" for number in range(MANY)]
    host.sh(*(f"ip link add {name} type veth peer name {name}-" for name in names))
    lines = "".join(f"  {name}: {{}}\n" for name in ("wan0", *names))
    host.write(f"version: 1\ninterfaces:\n{lines}proxy: {{port: 9040}}\n")
    many = [dumps(host, monkeypatch, word) for word in (str(host.site), "--destroy")]
    host.sh(*(f"ip link del {name}" for name in names))
    assert many == few
    assert host.look() == before


def test_a_device_is_read_by_its_name_alone(host: Host) -> None:
    host.sh("ip link property add dev wan0 altname uplink")
    with host.namespace.entered():
        netlink = Netlink()
        every = netlink.links()
        assert every
        assert {name: netlink.link(name) for name in every} == every
        for none in ("uplink", "none0", "", "too-long-for-a-device"):
            assert netlink.link(none) is None
        netlink.close()
