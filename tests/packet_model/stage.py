"""A host on which every program is applied, and frames that are run through them unsent."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Self

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.commands import plan
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.datapath.layouts import (
    CONFIG,
    COUNTER,
    COUNTER_KEY,
    COUNTERS,
    FLOW_VERDICT,
    FRAGMENTS,
    INBOUND,
    REPLIES,
    TRACKED,
)
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.btf import knows_lookups_by_mark
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.host.netns import netns_cookie
from netplan_tproxy.site.model import (
    Interface,
    Listener,
    Mark,
    Policy,
    Prefix,
    Proxy,
    Route,
    Rule,
    Site,
)
from tests.lab import Lab
from tests.lab.isolate import BPFFS
from tests.lab.marked_route import marked_away
from tests.lab.testrun import Ran, SkBuff, prog_test_run
from tests.packet_model.generate import PROGRAMS
from tests.packet_model.memory import Verdicts
from tests.packet_model.model import Model
from tests.packet_model.settings import LISTENING, SERVICE, Networks, Setting
from tests.packet_model.terms import Input
from tests.packet_model.wire import TCP, UDP, Flow

AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

Counted = Counter[tuple[int, str, str]]

# What the routing table of the lab's host does not send on: its addresses, the broadcast and
# anycast addresses of its links (RFC 4291, 2.6.1), and multicast over IPv6.
LOCAL = Networks(
    "127.0.0.0/8", "10.77.0.2/32", "10.77.0.255/32", "10.79.0.1/32", "10.79.0.255/32",
    "::1/128", "fd77::/128", "fd77::2/128", "fd79::/128", "fd79::1/128", "ff00::/8",
)  # fmt: skip
DEVICES = {
    "wan_egress": "wan0", "wan_ingress": "wan0", "lan_ingress": "lan0", "lo_ingress": "lo",
    "lo_egress": "lo", "wan_egress_l3": "tun0", "wan_ingress_l3": "tun0", "lan_ingress_l3": "tun1",
}  # fmt: skip
_INTERFACES = (
    Interface("wan0", ("output",)), Interface("lan0", ("forward",)),
    Interface("tun0", ("output",)), Interface("tun1", ("forward",)),
)  # fmt: skip
_MEMORY = (TRACKED, INBOUND, REPLIES, FRAGMENTS)


def site_of(setting: Setting) -> Site:
    """The site file of a setting, as it is once read."""

    def listener(protocol: int, *, v6: bool) -> Listener | None:
        if (protocol, v6) not in setting.proxied:
            return None
        return Listener("::1" if v6 else "127.0.0.1", LISTENING)

    intercept, bypass = setting.intercept, setting.bypass
    policy = Policy(
        intercept_from=_prefixes(intercept.from_),
        intercept_to=_prefixes(intercept.to),
        intercept_ports=intercept.ports,
        bypass_from=_prefixes(bypass.from_) or (),
        bypass_to=_prefixes(bypass.to) or (),
        bypass_ports=bypass.ports or (),
        bypass_users=("root",) if setting.root_bypassed else (),
        bypass_marks=tuple(Mark(*mark) for mark in setting.bypass_marks[1:]),
    )
    proxy = Proxy(
        listener(TCP, v6=False), listener(TCP, v6=True), listener(UDP, v6=False),
        listener(UDP, v6=True), "bypass" if setting.down_bypass else "drop",
    )  # fmt: skip
    mark = Mark(*setting.intercept_mark)
    routes = (Route(100, "0.0.0.0/0"), Route(100, "::/0"))
    return Site(
        "default", _INTERFACES, proxy, mark, Mark(*setting.bypass_marks[0]), routes,
        (Rule(mark, 100, None, (2, 10)),), (("net/ipv4/conf/lo/accept_local", "1"),), policy,
        attach=setting.attach,
    )  # fmt: skip


def _prefixes(texts: tuple[str, ...] | None) -> tuple[Prefix, ...] | None:
    if texts is None:
        return None
    found = []
    for text in texts:
        network = ipaddress.ip_network(text)
        if network.version == 4:
            packed = _MAPPED.network_address.packed[:12] + network.network_address.packed
            found.append((network.prefixlen + 96, packed))
            continue
        # ::/0 names IPv6 networks, and not what IPv4 ones are written as in the sets.
        holds = network.supernet_of(_MAPPED)
        parts = network.address_exclude(_MAPPED) if holds else (network,)
        found += [(part.prefixlen, part.network_address.packed) for part in parts]
    return tuple(found)


class Stage:
    """The lab, its pinned programs and maps; use it inside ``lab.host.entered()``."""

    def __init__(self, lab: Lab, patch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self._patch = patch
        self._programs: dict[str, Fd] = {}
        self._maps: dict[str, Fd] = {}
        self._sockets: list[socket.socket] = []
        self._routed_back: contextlib.ExitStack | None = None
        lines = [
            f"tuntap add {name} mode tun\nlink set {name} addrgenmode none up\n"
            for name in ("tun0", "tun1")
        ]
        lab.host.run(["ip", "-batch", "-"], stdin="".join(lines))
        with lab.host.entered():
            links = {name: number for number, name in socket.if_nameindex()}
        self.ifindexes = {program: links[device] for program, device in DEVICES.items()}
        self.macs = {program: self._mac(device) for program, device in DEVICES.items()}

    def _mac(self, device: str) -> bytes:
        shown = self.lab.host.run(["ip", "-o", "link", "show", device]).stdout
        words = shown.split()
        if "link/ether" not in words:
            return bytes(6)
        return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._route(by_mark=False)
        for fd in (*self._programs.values(), *self._maps.values()):
            fd.close()
        for held in self._sockets:
            held.close()

    def apply(self, setting: Setting, *, knowing: Verdicts | None = None) -> Model:
        """Set the host up so; give the model of what it must do from then on.

        ``knowing``: what the programs remember of flows and go on with, else they forget it all.
        """
        for held in self._sockets:
            held.close()
        self._sockets = [
            self._listener(*which, transparent=setting.transparent) for which in setting.listening
        ]
        if setting.serves:
            self._sockets += [self._service(family) for family in (AF_INET, AF_INET6)]
        for device in ("lan0", "tun1"):
            for family in ("ipv4", "ipv6"):
                self.lab.host.sysctl(
                    f"net.{family}.conf.{device}.forwarding", int(setting.forwards)
                )
        self._route(by_mark=setting.marked_away and knows_lookups_by_mark())
        self._patch.setattr(plan, "load", lambda _: site_of(setting))
        with self.lab.host.entered():
            assert cli.main([]) == 0
        self._open()
        if knowing is None:
            self.forget()
            knowing = Verdicts()
        knowing.rules = str(site_of(setting))
        macs = {self.ifindexes[program]: mac for program, mac in self.macs.items()}
        return Model(setting, LOCAL, macs, self.ifindexes["lo_ingress"], tracked=knowing)

    def _route(self, *, by_mark: bool) -> None:
        if by_mark and self._routed_back is None:
            self._routed_back = contextlib.ExitStack()
            self._routed_back.enter_context(marked_away(self.lab.host))
        elif not by_mark and self._routed_back is not None:
            self._routed_back.close()
            self._routed_back = None

    def _listener(self, protocol: int, v6: bool, *, transparent: bool) -> socket.socket:  # noqa: FBT001
        family = socket.AF_INET6 if v6 else socket.AF_INET
        made = self.lab.host.socket(
            family, socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM
        )
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if transparent:
            level, option = (socket.IPPROTO_IPV6, 75) if v6 else (socket.IPPROTO_IP, 19)
            made.setsockopt(level, option, 1)  # ip(7), ipv6(7): IP_TRANSPARENT
        made.bind(("::1" if v6 else "127.0.0.1", LISTENING))
        if protocol == TCP:
            made.listen()
        return made

    def _service(self, family: socket.AddressFamily) -> socket.socket:
        made = self.lab.host.socket(family, socket.SOCK_DGRAM)
        if family == AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(("", SERVICE))
        return made

    def _open(self) -> None:
        if self._programs:
            return
        with self.lab.host.entered():
            pins = BPFFS / "netplan-tproxy" / str(netns_cookie())
        for name in PROGRAMS:
            self._programs[name] = bpf_maps.open_pinned(
                str(pins / "programs" / datapath.pin_of(name))
            )
        for layout in (*_MEMORY, COUNTERS, CONFIG):
            self._maps[layout.name] = bpf_maps.open_pinned(str(pins / "maps" / layout.pin))

    def run(self, given: Input) -> Ran:
        """Run a frame through its program; the thread must be inside HOST."""
        skb = SkBuff(given.mark, given.came_by, given.ifindex, given.cb)
        return prog_test_run(self._programs[given.program], given.frame, skb)

    def forget(self) -> None:
        """Make the programs forget every flow."""
        for layout in _MEMORY:
            fd = self._maps[layout.name]
            for key in list(bpf_maps.keys(fd, layout.key_size)):
                bpf_maps.delete(fd, key)

    def age(self, seconds: float) -> None:
        """Let every verdict on a flow be so much older."""
        fd = self._maps[TRACKED.name]
        ticks = round(seconds * 1e9) >> 30
        for key in list(bpf_maps.keys(fd, TRACKED.key_size)):
            value = bpf_maps.lookup(fd, key, TRACKED.value_size) or b""
            entry, epoch, began, seen, doubtful = FLOW_VERDICT.unpack(value)
            older = ((time - ticks) & 0xFFFFFFFF for time in (began, seen))
            bpf_maps.update(fd, key, FLOW_VERDICT.pack(entry, epoch, *older, doubtful))

    def unconfigure(self) -> None:
        """Take the programs' configuration away; the next ``apply`` puts it back."""
        bpf_maps.delete(self._maps[CONFIG.name], bytes(CONFIG.key_size))

    def remember_reply(self, flow: Flow, ifindex: int) -> None:
        """Tell the programs of a flow whose client is bound to a device."""
        bpf_maps.update(self._maps[REPLIES.name], flow_key(flow), struct.pack("=I", ifindex))

    def counters(self) -> Counted:
        """Packets and bytes so far, by device and outcome."""
        found: Counted = Counter()
        fd = self._maps[COUNTERS.name]
        size = bpf_maps.entry_size(bpf_maps.map_info(fd))
        for key in bpf_maps.keys(fd, COUNTER_KEY.size):
            ifindex, outcome = COUNTER_KEY.unpack(key)
            for packets, octets in COUNTER.iter_unpack(bpf_maps.lookup(fd, key, size) or b""):
                found[ifindex, datapath.OUTCOMES[outcome], "packets"] += packets
                found[ifindex, datapath.OUTCOMES[outcome], "bytes"] += octets
        return found


def flow_key(flow: Flow) -> bytes:
    """``struct flow_key`` (bpf/common/flow_key.h)."""
    mapped = bytes(10) + b"\xff\xff"
    ends = [
        address.to_bytes(16, "big") if flow.v6 else mapped + address.to_bytes(4, "big")
        for address in (flow.source, flow.target)
    ]
    ports = struct.pack("!HH", flow.source_port, flow.target_port)
    return b"".join(ends) + ports + struct.pack("=I", flow.protocol)


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """A lab with all the programs in place."""
    with Lab(ipv6=True, lan=True) as lab, pytest.MonkeyPatch.context() as patch:
        with Stage(lab, patch) as made:
            yield made
