"""The kernel of this network namespace, as the kinds see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from netplan_tproxy.datapath import fionread, trials
from netplan_tproxy.datapath.marked_routes import route_mark
from netplan_tproxy.datapath.objects import BpfObjects
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.features import Feature
from netplan_tproxy.kernel.host.sysctl import has_ipv6, read_sysctl
from netplan_tproxy.kernel.host.users_cgroups import cgroup_root, resolve_cgroups, resolve_users
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.site.model import Site
from netplan_tproxy.system.closing import Closing


@dataclass(frozen=True)
class Facts:
    """What the desired state depends on besides the site file.

    ``lacking``: what this kernel was seen to lack, by the key of the file that needs it.
    ``fionread``: what this kernel gets wrong; "" where it is right, or nobody asked.
    ``foreign_tcx``: the devices and hooks on which others have tcx programs, for ``attach: auto``.
    ``sysctls``: what the site's settings are now, by path; those that exist.
    ``route_mark``: the mark that leads forwarded packets out where nothing else does.
    """

    links: dict[str, Link] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    cgroups: dict[str, int] = field(default_factory=dict)
    lacking: Mapping[str, Sequence[Feature]] = field(default_factory=dict)
    fionread: str = ""
    route_mark: int = 0
    sysctls: dict[str, str] = field(default_factory=dict)
    foreign_tcx: frozenset[tuple[str, str]] = frozenset()
    has_cgroup2: bool = True
    has_ipv6: bool = True

    def link_types(self) -> dict[str, int]:
        """Give each device's ARPHRD number."""
        return {name: link.type for name, link in self.links.items()}


def lacking(site: Site) -> dict[str, Sequence[Feature]]:
    """Try what a site asks for and not every kernel has, by the key that asks for it."""
    return {
        **({"fastpath.enabled": trials.missing_for_fastpath()} if site.fastpath.enabled else {}),
        **({"attach": trials.missing_for_tcx()} if site.attach == "tcx" else {}),
    }


def _settings(paths: Iterable[str]) -> dict[str, str]:
    return {path: value for path in paths if (value := _readable(path)) is not None}


def _readable(path: str) -> str | None:
    try:
        return read_sysctl(path)
    except KernelError:  # may be written alone
        return None


class Kernel(Closing):
    """Handles on the network namespace this thread is in. Close it, or use ``with``."""

    def __init__(self, cache: str = "") -> None:
        """``cache``: the folder of what was compiled before; "" for none."""
        self.netlink = Netlink()
        self.bpf = BpfObjects(cache)

    def snapshot(self) -> Snapshot:
        """Begin to look at what is there. Close it, or use ``with``."""
        return Snapshot(self.netlink, self.bpf)

    def links(self) -> dict[str, Link]:
        """Read the devices by name, afresh: they come and go. Raises KernelError."""
        return self.netlink.links()

    def facts(self, site: Site) -> Facts:
        """Read what the desired state depends on; unknown users and cgroups are left out."""
        policy, links = site.policy, self.links()
        return Facts(
            links,
            resolve_users(policy.bypass_users),
            resolve_cgroups([*policy.bypass_cgroups, *site.fastpath_cgroups]),
            lacking(site),
            fionread.fault() if site.fastpath.relies_on_fionread else "",
            route_mark(site.proxy.families, site.intercept_mark) if site.forwards else 0,
            _settings(path for path, _ in site.sysctls),
            self._foreign_tcx(site, links) if site.attach == "auto" else frozenset(),
            cgroup_root() is not None,
            has_ipv6(),
        )

    def _foreign_tcx(self, site: Site, links: Mapping[str, Link]) -> frozenset[tuple[str, str]]:
        names = {link.ifindex: name for name, link in links.items() if name in site.devices}
        return frozenset((names[ifindex], hook) for ifindex, hook in self.bpf.links.foreign(names))

    def build(self) -> None:
        """Build aside what was asked for one by one. Raises TproxyError."""
        self.bpf.build()

    def tidy(self) -> None:
        """Remove what was there only for what is gone by now. Raises KernelError."""
        self.bpf.pins.tidy()

    def after_fork(self) -> None:
        """Go on in a child process: a netlink socket can't serve two."""
        self.netlink = Netlink()

    def close(self) -> None:
        """Drop sockets, and BPF objects that were built but not pinned."""
        self.netlink.close()
        self.bpf.close()
