"""What the desired state comes of: the site file, and what this host says to its names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.datapath.policy import CompiledPolicy, compile_policy
from netplan_tproxy.site.model import Site


@dataclass(frozen=True)
class Wanted:
    """A site file and the facts it is about. All its users and cgroups are known."""

    site: Site
    facts: Facts

    @cached_property
    def policy(self) -> CompiledPolicy:
        """The policy as sets, compiled when first asked for, and once."""
        return compile_policy(self.site, self.facts.users, self.facts.cgroups)
