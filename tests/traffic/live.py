"""What becomes of what lives when the site file changes: the table of docs/guarantees.md, as data.

Each row is a change of the file, each column what lives: TCP and UDP, of this host and from behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.traffic.support import BEHIND, BOUND, PORT, UNBOUND, V4, V6, Family, Sender

ALL = ("tcp", "tcp6", "udp", "udp6")
BOTH = (V4, V6)
MOVED = {V4: "127.0.0.2", V6: "::2"}
MOVED_PORT = 9050
COLUMNS = ("TCP of this host", "TCP from behind", "UDP of this host", "UDP from behind")
SENDERS: dict[str, tuple[Sender, ...]] = {
    "of this host": (UNBOUND, BOUND),
    "from behind": (BEHIND,),
}

GOES_ON = "goes on"
RESET = "reset"
REFUSED = "refused"
DIRECT = "goes out directly"
TO_THE_NEW_ONE = "goes to the new one"
TAKEN = "taken from then on"


def site(
    *more: str,
    interfaces: dict[str, str] | None = None,
    listeners: tuple[str, ...] = ALL,
    when_down: str = "drop",
    moved: bool = False,
) -> str:
    """A site file: what is intercepted where, which listeners there are, and further lines."""
    taken = interfaces or {"wan0": "output", "lan0": "forward"}
    lines = ["version: 1", "interfaces:"]
    lines += [f"  {name}: {{intercept: {what}}}" for name, what in taken.items()]
    lines += ["proxy:", f"  when_down: {when_down}"]
    for name in listeners:
        family = V6 if name.endswith("6") else V4
        address, port = (MOVED[family], MOVED_PORT) if moved else (family.loopback, PORT)
        lines.append(f'  {name}: {{address: "{address}", port: {port}}}')
    return "\n".join([*lines, *more]) + "\n"


def listeners_of(family: Family) -> tuple[str, ...]:
    return tuple(name for name in ALL if name.endswith("6") == (family == V6))


class Row(NamedTuple):
    """The file as it is changed, for what lives of a family; None: ``--destroy``."""

    site: Callable[[Family], str | None]
    cells: tuple[str, str, str, str]

    def steps(self) -> list[tuple[str | None, tuple[Family, ...]]]:
        """The files to be tried, each with the families that are looked at."""
        first, second = (self.site(family) for family in BOTH)
        return [(first, BOTH)] if first == second else [(first, (V4,)), (second, (V6,))]


def _always(text: str | None) -> Callable[[Family], str | None]:
    return lambda _: text


_ON = (GOES_ON,) * 4
_ANEW = (GOES_ON, GOES_ON, GOES_ON, DIRECT)
_OUTPUT_GONE = (RESET, GOES_ON, DIRECT, GOES_ON)
_FORWARD_GONE = (GOES_ON, RESET, GOES_ON, DIRECT)

ROWS = {
    "nothing": Row(_always(site()), _ON),
    "a listener's address or port": Row(
        _always(site(moved=True)), (GOES_ON, GOES_ON, TO_THE_NEW_ONE, TO_THE_NEW_ONE)
    ),
    "the TCP listeners go, the UDP ones stay": Row(_always(site(listeners=("udp", "udp6"))), _ON),
    "the UDP listeners go, the TCP ones stay": Row(
        _always(site(listeners=("tcp", "tcp6"))), (GOES_ON, GOES_ON, REFUSED, DIRECT)
    ),
    "the last listener of its family goes": Row(
        lambda family: site(listeners=listeners_of(V4 if family == V6 else V6)),
        (RESET, RESET, REFUSED, DIRECT),
    ),
    "the last listener of the other family goes": Row(
        lambda family: site(listeners=listeners_of(family)), _ON
    ),
    "the interface of this host's clients goes": Row(
        _always(site(interfaces={"lan0": "forward"})), _OUTPUT_GONE
    ),
    "the interface of those behind goes": Row(
        _always(site(interfaces={"wan0": "output"})), _FORWARD_GONE
    ),
    "`output` becomes `forward`": Row(
        _always(site(interfaces={"wan0": "forward", "lan0": "forward"})), _OUTPUT_GONE
    ),
    "`forward` becomes `output`": Row(
        _always(site(interfaces={"wan0": "output", "lan0": "output"})), _FORWARD_GONE
    ),
    "a direction comes": Row(
        _always(site(interfaces=dict.fromkeys(("wan0", "lan0"), "[output, forward]"))), _ON
    ),
    "`marks.intercept`": Row(_always(site("marks: {intercept: 0x40/0xf0}")), _ON),
    "`marks.bypass`": Row(_always(site("marks: {bypass: 0x800/0xf00}")), _ON),
    "the table": Row(_always(site('route_tables: {101: [{to: default}, {to: "::/0"}]}')), _ON),
    "`bypass.to` names it": Row(_always(site('bypass: {to: [1.0.0.0/8, "2600::/12"]}')), _ANEW),
    "`bypass.ports` names it": Row(_always(site("bypass: {ports: [53, 80]}")), _ANEW),
    "`bypass.users` names it": Row(_always(site("bypass: {users: [root]}")), _ON),
    "`intercept` names it no more": Row(_always(site("intercept: {ports: [443]}")), _ANEW),
    "`when_down`": Row(_always(site(when_down="bypass")), _ON),
    "`--destroy`": Row(_always(None), (RESET, RESET, DIRECT, DIRECT)),
}


class Direct(NamedTuple):
    """The file under which all goes out directly, and the one that has it taken."""

    before: Callable[[Family], str | None]
    after: str | None
    cells: tuple[str, str, str, str]


_DECIDED = (DIRECT, DIRECT, DIRECT, TAKEN)
_UNDECIDED = (DIRECT, DIRECT, TAKEN, TAKEN)
ELSEWHERE = "other0"  # a device that nothing goes by

DIRECT_ROWS = {
    "`bypass` names it no more": Direct(
        _always(site('bypass: {to: [1.0.0.0/8, "2600::/12"]}')), site(), _DECIDED
    ),
    "`intercept` names it now": Direct(
        _always(site("intercept: {ports: [443]}")), site(), _DECIDED
    ),
    "its interface comes": Direct(
        _always(site(interfaces={ELSEWHERE: "[output, forward]"})), site(), _UNDECIDED
    ),
    "the first listener of its family comes": Direct(
        lambda family: site(listeners=listeners_of(V4 if family == V6 else V6)), site(), _UNDECIDED
    ),
    "`--destroy`": Direct(_always(site("bypass: {ports: [7, 53]}")), None, (DIRECT,) * 4),
}
