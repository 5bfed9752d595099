"""The topology.

::

    LAN 10.79.0.2 ── lan0 10.79.0.1 HOST 10.77.0.2 wan0 ── 10.77.0.1 isp0 NET (1.1.1.1, 8.8.8.8)
                                    HOST 10.78.0.2 wan1 ── 10.78.0.1 isp1 NET
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.paths import DEFAULT_STATE
from netplan_tproxy.system.closing import Closing
from tests.lab import isolate
from tests.lab.namespace import Namespace
from tests.lab.sweep import PREFIX, sweep

INTERNET = ("1.1.1.1", "8.8.8.8")
INTERNET6 = ("2606:4700:4700::1111", "2001:4860:4860::8888")
_SECOND_OCTETS = (77, 78, 80, 81)


@dataclass(frozen=True, slots=True)
class Wan:
    """One uplink: ``name`` in HOST, ``peer`` in NET."""

    name: str
    peer: str
    address: str
    gateway: str
    address6: str
    gateway6: str


def _wan(index: int) -> Wan:
    octet = _SECOND_OCTETS[index]
    return Wan(
        name=f"wan{index}",
        peer=f"isp{index}",
        address=f"10.{octet}.0.2",
        gateway=f"10.{octet}.0.1",
        address6=f"fd{octet}::2",
        gateway6=f"fd{octet}::1",
    )


class Lab(Closing):
    """Namespaces ``host``, ``net`` and, with ``lan=True``, ``lan``; a context manager.

    Neither IPv6 link-local addresses nor duplicate address detection exist, so the labs are
    silent: a packet on a wire was sent by somebody.
    """

    def __init__(self, *, wans: int = 1, lan: bool = False, ipv6: bool = False) -> None:
        if not isolate.is_private():
            raise RuntimeError("a lab needs isolate.enter_private() first")
        sweep()
        self.name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        self.wans = tuple(_wan(index) for index in range(wans))
        self.ipv6 = ipv6
        self._namespaces: list[Namespace] = []
        _live.add(self)
        try:
            self.host = self._namespace("host")
            self.net = self._namespace("net")
            self.lan = self._namespace("lan") if lan else None
            self._wire()
        except BaseException:
            self.close()
            raise

    def _namespace(self, role: str) -> Namespace:
        made = Namespace(f"{self.name}-{role}")
        self._namespaces.append(made)
        return made

    def _wire(self) -> None:
        for namespace in self._namespaces if _has_ipv6() else ():
            namespace.sysctl("net.ipv6.conf.default.accept_dad", 0)
            namespace.sysctl("net.ipv6.conf.default.router_solicitations", 0)
        host, net = ["link set lo up"], ["link set lo up"]
        for metric, wan in enumerate(self.wans):
            host += [
                f"link add {wan.name} type veth peer name {wan.peer} netns {self.net.name}",
                *_up(wan.name, f"{wan.address}/24"),
            ]
            net += _up(wan.peer, f"{wan.gateway}/24")
            # A peer that is down means no carrier, and IPv6 refuses such a next hop.
            host += [f"route add default via {wan.gateway} dev {wan.name} metric {metric * 100}"]
            if self.ipv6:
                host += [f"addr add {wan.address6}/64 dev {wan.name} nodad"]
                host += [
                    f"route add default via {wan.gateway6} dev {wan.name} metric {metric * 100 + 1}"
                ]
                net += [f"addr add {wan.gateway6}/64 dev {wan.peer} nodad"]
        addresses = INTERNET + (INTERNET6 if self.ipv6 else ())
        net += [f"addr add {address} dev lo{' nodad' * (':' in address)}" for address in addresses]
        if self.lan is not None:
            self._wire_lan(host, net)
        _batch(self.host, host)
        _batch(self.net, net)

    def _wire_lan(self, host: list[str], net: list[str]) -> None:
        if self.lan is None:
            return
        self.host.sysctl("net.ipv4.ip_forward", 1)
        self.host.sysctl("net.ipv6.conf.all.forwarding", 1)
        host += [f"link add lan0 type veth peer name eth0 netns {self.lan.name}"]
        host += _up("lan0", "10.79.0.1/24")
        lan = ["link set lo up", *_up("eth0", "10.79.0.2/24")]
        lan += ["route add default via 10.79.0.1"]
        net += [f"route add 10.79.0.0/24 via {self.wans[0].address}"]
        if self.ipv6:
            host += ["addr add fd79::1/64 dev lan0 nodad"]
            lan += ["addr add fd79::2/64 dev eth0 nodad", "route add default via fd79::1"]
            net += [f"route add fd79::/64 via {self.wans[0].address6}"]
        _batch(self.host, host)
        host.clear()
        _batch(self.lan, lan)

    def close(self, *, tidy: bool = True) -> None:
        """Remove everything; twice is once.

        With ``tidy`` also what the tool has on record and pinned for HOST: nobody could ask
        it to destroy that any more.
        """
        if tidy and self in _live:
            for folder in _on_record(self._namespaces[:1]):
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):  # holds what is of other namespaces
                    folder.parent.rmdir()
        for namespace in self._namespaces:
            namespace.close()
        _live.discard(self)


def _has_ipv6() -> bool:
    """Whether there is IPv6: it can be disabled at boot."""
    return Path("/proc/sys/net/ipv6").exists()


def _up(device: str, address: str) -> list[str]:
    return [
        *([f"link set {device} addrgenmode none"] if _has_ipv6() else []),
        f"addr add {address} dev {device}",
        f"link set {device} up",
    ]


def _batch(namespace: Namespace, lines: list[str]) -> None:
    namespace.run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")


def _on_record(namespaces: list[Namespace]) -> list[Path]:
    """Where the tool keeps its state and its pins of these namespaces."""
    folders = []
    for namespace in namespaces:
        with namespace.entered():
            name = str(netns_cookie())
        folders += [Path(DEFAULT_STATE) / name, isolate.BPFFS / "netplan-tproxy" / name]
    return folders


_live: set[Lab] = set()


@atexit.register
def _close_all() -> None:
    for lab in list(_live):
        lab.close()
