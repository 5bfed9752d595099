"""What the kernel shows at one moment: each thing is read when first asked for, and once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from netplan_tproxy.datapath.attach import cgroup, sockmap
from netplan_tproxy.datapath.filter_names import is_ours, program_of
from netplan_tproxy.datapath.layouts import SETS
from netplan_tproxy.datapath.objects import BpfObjects
from netplan_tproxy.datapath.pinned_links import Place
from netplan_tproxy.datapath.pinned_maps import PinnedMap
from netplan_tproxy.datapath.pinned_programs import PinnedProgram
from netplan_tproxy.datapath.protocol import OUR_PROTOCOL
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.host.sysctl import read_sysctl
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.ipv6_objects import Ipv6Object
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.kernel.netlink.route_message import RouteRecord
from netplan_tproxy.kernel.netlink.rules import RuleRecord
from netplan_tproxy.kernel.netlink.tc import CLSACT_EGRESS, CLSACT_INGRESS, FilterRecord
from netplan_tproxy.system.closing import Closing


class Snapshot(Closing):
    """What kinds observe. It changes nothing, and every reading raises KernelError.

    It holds the pinned maps open: close it, or use ``with``.
    """

    def __init__(self, netlink: Netlink, bpf: BpfObjects) -> None:
        self._netlink = netlink
        self._bpf = bpf
        self._filters: dict[tuple[int, int], list[FilterRecord]] = {}
        self._sysctls: dict[str, str | None] = {}

    @cached_property
    def links(self) -> dict[str, Link]:
        """The devices, by name."""
        return self._netlink.links()

    @cached_property
    def ingress_qdiscs(self) -> dict[int, str]:
        """The qdiscs at ingress hooks, by ifindex."""
        return self._netlink.ingress_qdiscs()

    def filters(self, ifindex: int, parent: int) -> list[FilterRecord]:
        """Read the filters of one clsact hook."""
        hook = (ifindex, parent)
        if hook not in self._filters:
            self._filters[hook] = self._netlink.filters(ifindex, parent)
        return self._filters[hook]

    def rules(self, family: int) -> list[RuleRecord]:
        """Read the rules that select by fwmark alone."""
        return self._netlink.rules(family)

    def routes(self, family: int, **where: int) -> list[RouteRecord]:
        """Read the routes of a ``table=`` or a ``proto=``."""
        return self._netlink.routes(family, **where)

    def sysctl(self, path: str) -> str | None:
        """Read one setting; None where there is none."""
        if path not in self._sysctls:
            self._sysctls[path] = read_sysctl(path)
        return self._sysctls[path]

    @cached_property
    def ipv6_objects(self) -> dict[str, list[Ipv6Object]]:
        """What devices lose when IPv6 is switched off, by device; routes of ours left out."""
        names = {link.ifindex: name for name, link in self.links.items()}
        objects: dict[str, list[Ipv6Object]] = {}
        for one in self._netlink.ipv6_objects(but=OUR_PROTOCOL):
            objects.setdefault(names.get(one.ifindex, ""), []).append(one)
        return objects

    def bpffs(self) -> int | None:
        """Count what others pinned in the bpffs; None: none is mounted."""
        pins = self._bpf.pins
        return pins.foreign() if pins.mounted() else None

    @cached_property
    def maps(self) -> dict[str, PinnedMap]:
        """The pinned maps, by pin."""
        return self._bpf.maps.opened()

    @cached_property
    def programs(self) -> dict[str, PinnedProgram]:
        """The pinned programs, by pin."""
        return self._bpf.programs.pinned({one.id for one in self.maps.values()})

    def entry(self, pin: str, key: bytes) -> bytes | None:
        """Look one key up in a pinned map; None without map or entry."""
        held = self.maps.get(pin)
        return None if held is None else bpf_maps.entry(held.fd, key)

    def sets(self) -> dict[str, bool]:
        """Name the sets that are pinned or found by the programs; True: both, and one set."""
        outer = self.maps.get(SETS.pin)
        return self._bpf.sets.present(outer.fd if outer else None)

    @cached_property
    def tcx_links(self) -> dict[Place, int]:
        """The ids of the programs that our tcx links run here, by device and hook."""
        return self._bpf.links.attached()

    def runs(self, ifindex: int, hook: str, program: str) -> bool:
        """Whether a filter of ours or a link of ours runs a program, such as wan_egress, there."""
        parent = CLSACT_INGRESS if hook == "ingress" else CLSACT_EGRESS
        names = [program_of(one.name) for one in self.filters(ifindex, parent) if is_ours(one)]
        number = self.tcx_links.get((ifindex, hook))
        names += [pin for pin, one in self.programs.items() if one.id == number]
        return any(name.startswith(program) for name in names)

    def sockops(self, cgroups: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Give the pin and id of our program on cgroups, as ``attach.cgroup`` has them."""
        ids = {pin: one.id for pin, one in self.maps.items()}
        return cgroup.attached(cgroups, self.programs, ids)

    def sk_msg(self, pin: str) -> int:
        """Give the id of the program on a pinned map of sockets; 0: none, or no such map."""
        held = self.maps.get(pin)
        return 0 if held is None else sockmap.attached(held.fd)

    def close(self) -> None:
        """Close the maps."""
        for one in self.__dict__.get("maps", {}).values():
            one.fd.close()
