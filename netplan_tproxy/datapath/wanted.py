"""What the desired state comes of: the site file, and what this host says to its names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.datapath.policy import CompiledPolicy, compile_policy
from netplan_tproxy.datapath.programs import Place, places
from netplan_tproxy.site.model import Site


@dataclass(frozen=True)
class Wanted:
    """A site file and the facts it is about. All its users and cgroups are known."""

    site: Site
    facts: Facts

    def places(self, *, tcx: bool) -> list[Place]:
        """Give the hooks on which tcx is to run our programs, or on which filters are to."""
        here = places(self.site, self.facts.link_types())
        return [place for place in here if self._takes_tcx(place) == tcx]

    def _takes_tcx(self, place: Place) -> bool:
        if self.site.attach == "auto":
            return (place.dev, place.hook) in self.facts.foreign_tcx
        return self.site.attach == "tcx"

    @cached_property
    def policy(self) -> CompiledPolicy:
        """The policy as sets, compiled when first asked for, and once."""
        return compile_policy(self.site, self.facts.users, self.facts.cgroups)
