"""Our tcx links, by pin: ``HOOK@IFINDEX`` below ``links/``. Without its pin a link is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.kernel.bpf import tcx
from netplan_tproxy.kernel.bpf.libbpf import Fd

_FOLDER = "links"
# A device by its number, and a hook of it.
Place = tuple[int, str]


class PinnedLinks:
    """What they attach, and where: as the kernel says, not as their names do.

    A link whose device is gone, or in another network namespace, attaches nothing here.
    """

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    def attached(self) -> dict[Place, int]:
        """Give the ids of the programs that they run here. Raises KernelError."""
        return {place: prog_id for place, prog_id, here in self._each() if here}

    def foreign(self, ifindexes: Iterable[int]) -> dict[Place, list[int]]:
        """Give the ids of others' programs on devices, as they run, where there are any.

        Raises KernelError.
        """
        places = [(ifindex, hook) for ifindex in ifindexes for hook in tcx.HOOKS]
        there = {place: found for place in places if (found := tcx.programs(*place))}
        ours = self.attached() if there else {}
        others = {
            place: [one for one in found if one != ours.get(place)]
            for place, found in there.items()
        }
        return {place: found for place, found in others.items() if found}

    def put(self, place: Place, program: int) -> None:
        """Let a hook run a program, before those of others: in place of ours, if it runs one.

        Raises KernelError.
        """
        link = self._pins.find(_FOLDER, _pin(place))
        if link is not None:
            with link:
                if _is_here(link, place):
                    tcx.exchange(link, program)
                    return
        with tcx.attach_first(program, *place) as link:
            self._pins.put(_FOLDER, _pin(place), link)

    def remove(self, place: Place) -> None:
        """Detach ours, and remove its pin; none is fine. Raises KernelError."""
        link = self._pins.find(_FOLDER, _pin(place))
        if link is not None:
            with link:
                tcx.detach(link)
        self._pins.remove(_FOLDER, _pin(place))

    def sweep(self) -> None:
        """Remove the pins of links that attach nothing here. Raises KernelError."""
        for place, _, here in list(self._each()):
            if not here:
                self.remove(place)

    def _each(self) -> Iterator[tuple[Place, int, bool]]:
        for pin, link in self._pins.each(_FOLDER):
            with link:
                place = _place(pin)
                if place is not None:
                    yield place, tcx.link_info(link).prog_id, _is_here(link, place)


def _is_here(link: Fd, place: Place) -> bool:
    ifindex, hook = place
    info = tcx.link_info(link)
    # A device in another network namespace may have the number: what runs here is asked, too.
    named = (info.ifindex, info.hook) == place
    return named and info.prog_id in tcx.programs(ifindex, hook)


def _pin(place: Place) -> str:
    ifindex, hook = place
    return f"{hook}@{ifindex}"


def _place(pin: str) -> Place | None:
    hook, _, number = pin.partition("@")
    return (int(number), hook) if hook in tcx.HOOKS and number.isdecimal() else None
