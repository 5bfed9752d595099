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
from netplan_tproxy.kernel.host.sysctl import read_sysctl
from netplan_tproxy.kernel.host.users_cgroups import resolve_cgroups, resolve_users
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.site.model import Site
from netplan_tproxy.system.closing import Closing


@dataclass(frozen=True)
class Facts:
    """What the desired state depends on besides the site file.

    ``lacking``: what this kernel was seen to lack, by the key of the file that needs it.
    ``fionread``: what this kernel gets wrong; "" where it is right, or nobody asked.
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

    def link_types(self) -> dict[str, int]:
        """Give each device's ARPHRD number."""
        return {name: link.type for name, link in self.links.items()}


def _lacking(site: Site) -> dict[str, Sequence[Feature]]:
    return {"fastpath.enabled": trials.missing_for_fastpath()} if site.fastpath.enabled else {}


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
        policy = site.policy
        return Facts(
            self.links(),
            resolve_users(policy.bypass_users),
            resolve_cgroups([*policy.bypass_cgroups, *site.fastpath_cgroups]),
            _lacking(site),
            fionread.fault() if site.fastpath.relies_on_fionread else "",
            route_mark(site.proxy.families, site.intercept_mark) if site.forwards else 0,
            _settings(path for path, _ in site.sysctls),
        )

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
