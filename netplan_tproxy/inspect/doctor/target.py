"""What is examined: this host, and the site file that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netplan_tproxy.datapath.fastpath import TYPES
from netplan_tproxy.datapath.programs import RAW_IP, places
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.paths import DEFAULT_STATE
from netplan_tproxy.site.model import Interface, Listener, Mark, Site

# The defaults of the site file (marks in docs/site-yaml.md).
_INTERCEPT, _BYPASS = Mark(0x1, 0x1), Mark(0x2, 0x2)
ALL_PROGRAMS = ("lo_ingress", "lo_egress", "wan_ingress", "wan_egress", "lan_ingress")


@dataclass(frozen=True)
class Target:
    """A host and its site file; without one default marks, no interface, no listener.

    ``privileged``: this process has the capabilities that an apply needs.
    """

    site: Site | None = None
    links: Mapping[str, Link] = field(default_factory=dict)
    privileged: bool = False
    state_dir: str = DEFAULT_STATE

    @property
    def intercept_mark(self) -> Mark:
        """The mark of what goes to the proxy."""
        return self.site.intercept_mark if self.site else _INTERCEPT

    @property
    def bypass_mark(self) -> Mark:
        """The mark of what is bypassed."""
        return self.site.bypass_mark if self.site else _BYPASS

    @property
    def links_by_index(self) -> dict[int, str]:
        """The devices' names by ifindex."""
        return {link.ifindex: name for name, link in self.links.items()}

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces of the site that exist."""
        there = self.site.interfaces if self.site else ()
        return tuple(one for one in there if one.name in self.links)

    def intercepting(self, direction: str) -> list[str]:
        """Return the names of the interfaces that intercept ``output`` or ``forward``."""
        return [one.name for one in self.interfaces if direction in one.intercept]

    @property
    def listeners(self) -> list[tuple[str, Listener]]:
        """The listeners of the site: ``tcp``, ``tcp6``, ``udp``, ``udp6``."""
        pairs = self.site.proxy.listeners.items() if self.site else ()
        return [(name, listener) for name, listener in pairs if listener is not None]

    @property
    def priority(self) -> int:
        """The priority of the first of our rules (ip-rule(8))."""
        given = [rule.priority for rule in (self.site.rules if self.site else ()) if rule.priority]
        return min(given, default=1000)

    @property
    def has_raw_ip(self) -> bool:
        """Whether an interface of the site has no link-layer header."""
        return any(self.links[one.name].type in RAW_IP for one in self.interfaces)

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs that an apply would load here."""
        fast = tuple(TYPES) if self.site and self.site.fastpath.enabled else ()
        if self.site is None or len(self.interfaces) < len(self.site.interfaces):
            return ALL_PROGRAMS + fast
        types = {name: link.type for name, link in self.links.items()}
        placed = dict.fromkeys(place.program for place in places(self.site, types))
        return (*placed, *fast)
