"""Our BPF objects of this network namespace: built aside, committed by pinning.

Whatever can fail (creating maps, compiling, loading, the verifier) happens before the
first change, on objects that only this process holds: if it fails they vanish with it.
Objects that a change takes away are held too, so that undo puts the same ones back.
"""

from __future__ import annotations

from netplan_tproxy.datapath.attached_programs import AttachedPrograms
from netplan_tproxy.datapath.compile_cache import CompileCache
from netplan_tproxy.datapath.pinned_links import PinnedLinks
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.datapath.pinned_programs import PinnedPrograms
from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.datapath.sets import PolicySets


class BpfObjects:
    """All of them, by what they are."""

    def __init__(self, cache: str) -> None:
        """``cache``: the folder of what was compiled before; "" for none."""
        self.pins = Pins()
        self.maps = PinnedMaps(self.pins)
        self.programs = PinnedPrograms(self.pins, self.maps, CompileCache(cache))
        self.attached = AttachedPrograms(self.pins, self.programs)
        self.links = PinnedLinks(self.pins)
        self.sets = PolicySets(self.pins, self.maps)

    def build(self) -> None:
        """Build aside what was asked for one by one. Raises TproxyError."""
        self.programs.build()
        self.maps.drop_drained()

    def close(self) -> None:
        """Drop every descriptor."""
        for objects in (self.maps, self.programs, self.attached, self.sets):
            objects.close()
