"""What a host is set up as, in the words of its site file, and what follows for one address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tests.packet_model.wire import TCP, UDP, Flow

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Ports = tuple[tuple[int, int], ...]
LISTENING = 9040
SERVICE = 22  # of a datagram service of this host's, on every address

_NEVER_4 = (
    "0.0.0.0/8",        # RFC 1122, 3.2.1.3: this network
    "127.0.0.0/8",      # RFC 1122: loopback
    "169.254.0.0/16",   # RFC 3927: link-local
    "224.0.0.0/4",      # RFC 5771: multicast
    "240.0.0.0/4",      # RFC 1112: reserved, and broadcast
)  # fmt: skip
# Sources that name no single host (RFC 1122, 3.2.1.3): nobody there can be answered.
_NO_HOST_4 = ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")
_NEVER_6 = (
    "ff00::/8",         # RFC 4291: multicast
    "fe80::/10",        # RFC 4291: link-local
    "::/80",            # RFC 4291: unspecified, loopback, IPv4 in IPv6; nothing else is there
)  # fmt: skip
_NO_HOST_6 = _NEVER_6


class Networks:
    """Networks of one family, asked by number."""

    def __init__(self, *texts: str | Network) -> None:
        networks = [ipaddress.ip_network(text) for text in texts]
        self._known = [(int(n.network_address), int(n.netmask), n.version == 6) for n in networks]

    def has(self, address: int, *, v6: bool) -> bool:
        return any(address & mask == base for base, mask, family in self._known if family == v6)


_NEVER, _NO_HOST = Networks(*_NEVER_4, *_NEVER_6), Networks(*_NO_HOST_4, *_NO_HOST_6)


def never_intercepted(source: int, target: int, *, v6: bool) -> bool:
    return _NEVER.has(target, v6=v6) or _NO_HOST.has(source, v6=v6)


@dataclass(frozen=True)
class Named:
    """A part of the policy: networks and ports; None names nothing."""

    from_: tuple[str, ...] | None = None
    to: tuple[str, ...] | None = None
    ports: Ports | None = None

    @cached_property
    def sources(self) -> Networks:
        return Networks(*(self.from_ or ()))

    @cached_property
    def targets(self) -> Networks:
        return Networks(*(self.to or ()))

    def has_port(self, port: int) -> bool:
        return any(low <= port <= high for low, high in self.ports or ())


@dataclass(frozen=True)
class Setting:
    """One site file and the host around it. ``proxied``: (protocol, whether IPv6).

    ``marked_away``: nothing but a mark leads to a default route. ``attach``: how programs sit on
    devices, which changes nothing of what they do.
    """

    name: str
    proxied: frozenset[tuple[int, bool]] = frozenset(
        {(TCP, False), (TCP, True), (UDP, False), (UDP, True)}
    )
    listening: frozenset[tuple[int, bool]] = frozenset()
    down_bypass: bool = False
    intercept_mark: tuple[int, int] = (1, 1)
    bypass_marks: tuple[tuple[int, int], ...] = ((2, 2),)
    intercept: Named = field(default_factory=Named)
    bypass: Named = field(default_factory=Named)
    root_bypassed: bool = False
    forwards: bool = True
    serves: bool = False
    transparent: bool = True
    marked_away: bool = False
    attach: str = "auto"

    def has_socket(self, flow: Flow) -> bool:
        """Whether there is a socket on the listener's address and port."""
        return (flow.protocol, flow.v6) in self.listening

    def listens(self, flow: Flow) -> bool:
        """Whether that may have what was sent to others (IP_TRANSPARENT)."""
        return self.has_socket(flow) and self.transparent

    def reaches_a_socket(self, flow: Flow) -> bool:
        """Whether a datagram socket of this host receives it."""
        if self.serves and flow.target_port == SERVICE:
            return True
        loopback = 1 if flow.v6 else 0x7F000001
        return (flow.target, flow.target_port) == (loopback, LISTENING) and self.has_socket(flow)

    def decide(self, flow: Flow, mark: int, *, local: bool, to_all: bool) -> str:
        """What becomes of a new flow; ``local``: root of this host sent it."""
        return next(self._reasons(flow, mark, local=local, to_all=to_all), "intercepted")

    def may_intercept(self, flow: Flow, mark: int, *, local: bool, to_all: bool) -> bool:
        """Whether a flow is to be intercepted, if it has the ports and the protocol for that."""
        protocols = {flow.protocol} if flow.protocol else {TCP, UDP}
        ports = {
            port for low, high in self.intercept.ports or ((0, 65535),) for port in (low, high)
        }
        ports |= {high + 1 for _, high in self.bypass.ports or ()} | {1}
        return any(
            self.decide(
                flow._replace(protocol=protocol, target_port=port),
                mark,
                local=local,
                to_all=to_all,
            )
            == "intercepted"
            for protocol in protocols
            for port in ports
        )

    def _reasons(self, flow: Flow, mark: int, *, local: bool, to_all: bool) -> Iterator[str]:
        v6, protocol, source, target, _, port = flow
        only, spared = self.intercept, self.bypass
        if (protocol, v6) not in self.proxied:
            yield "no_proxy"
        if to_all or never_intercepted(source, target, v6=v6):
            yield "bypass_address"
        if any(mark & mask == value for value, mask in self.bypass_marks):
            yield "bypass_mark"
        if (
            (only.from_ is not None and not only.sources.has(source, v6=v6))
            or (only.to is not None and not only.targets.has(target, v6=v6))
            or (only.ports is not None and not only.has_port(port))
        ):
            yield "not_named"
        if spared.sources.has(source, v6=v6):
            yield "bypass_from"
        if spared.targets.has(target, v6=v6):
            yield "bypass_to"
        if spared.has_port(port):
            yield "bypass_port"
        if local and self.root_bypassed:
            yield "bypass_user"


_ALL = Setting("").proxied

SETTINGS = (
    Setting("all of it, and nobody listens", serves=True),
    Setting("all of it", listening=_ALL),
    Setting(
        "named by network and port",
        listening=_ALL,
        intercept=Named(
            from_=("10.0.0.0/8", "8.0.0.0/9", "fd00::/9"),
            to=("0.0.0.0/1", "192.0.2.0/24", "2000::/3"),
            ports=((53, 53), (80, 80), (443, 443), (1024, 40000)),
        ),
        bypass=Named(
            from_=("10.79.0.128/25", "8.0.64.0/18", "fd79::8000:0:0:0/65"),
            to=("1.1.1.0/24", "2606:4700::/32", "64.0.0.0/3"),
            ports=((443, 443), (5000, 5999), (33333, 33333)),
        ),
        bypass_marks=((2, 2), (0x500, 0xF00), (0x80000000, 0x80000000)),
    ),
    Setting(
        "TCP over IPv6 and UDP over IPv4 alone, let out while nobody listens",
        proxied=frozenset({(TCP, True), (UDP, False)}),
        down_bypass=True,
        bypass=Named(ports=((53, 53),)),
    ),
    Setting(
        "TCP over IPv4 listens, UDP does not",
        listening=frozenset({(TCP, False), (UDP, True)}),
        down_bypass=True,
        intercept_mark=(0x10000, 0xFF0000),
        bypass_marks=((0x20, 0x20), (0, 0x1000)),
    ),
    Setting("who listens may not have what is for others", listening=_ALL, transparent=False),
    Setting(
        "no forwarding, root bypassed",
        listening=_ALL,
        root_bypassed=True,
        forwards=False,
        serves=True,
    ),
    Setting("only what netfilter marks has a default route", listening=_ALL, marked_away=True),
    Setting("networks of IPv6 alone", listening=_ALL, intercept=Named(to=("::/0",))),
)  # fmt: skip
