"""Two namespaces that are the same: one for ``tproxy-apply``, the other for ip(8)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netplan_tproxy.system.closing import Closing
from tests.lab.host import Host
from tests.lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

HEAD = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
ROUTES = "  100: [{to: default}]\n"
_SETUP = """\
link set lo up
link add wan0 address 02:00:00:00:00:01 type veth peer name isp0
link add wan1 address 02:00:00:00:00:02 type veth peer name isp1
link set isp0 addrgenmode none up
link set isp1 addrgenmode none up
link set wan0 addrgenmode none up
link set wan1 addrgenmode none up
address add 10.77.0.2/24 dev wan0
address add 10.78.0.2/24 dev wan1
address add fd77::2/64 dev wan0 nodad
address add fd78::2/64 dev wan1 nodad
"""


class _Half:
    """What ``Host`` needs of a lab."""

    def __init__(self, host: Namespace) -> None:
        self.host = host


class Twins(Closing):
    """``host`` runs ``tproxy-apply``; what is typed into ``twin`` is the truth."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._ours = Namespace(f"{name}-ours")
        self.twin = Namespace(f"{name}-twin")
        self.host = Host(_Half(self._ours), folder)  # type: ignore[arg-type]
        for one in (self._ours, self.twin):
            one.run(["ip", "-batch", "-"], stdin=_SETUP)

    def __enter__(self) -> Self:
        return self

    def shown(self, what: str) -> tuple[list[str], list[str]]:
        """What ``ip -j -d route`` or ``rule`` shows of ours and of the twin."""
        return shown(self._ours, what), shown(self.twin, what)

    def close(self) -> None:
        self._ours.close()
        self.twin.close()


def batch(namespace: Namespace, lines: str, version: int) -> str:
    """Type lines of IPv4 or IPv6; give "" or the first refusal."""
    return namespace.run(["ip", f"-{version}", "-batch", "-"], stdin=lines, check=False).stderr


def shown(namespace: Namespace, what: str) -> list[str]:
    table = ["show", "table", "all"] if what == "route" else []
    found: list[str] = []
    for family in ("-4", "-6"):
        text = namespace.run(["ip", "-j", "-d", family, what, *table]).stdout
        objects: list[dict[str, Any]] = json.loads(text or "[]")
        found += [family + json.dumps(_settled(one), sort_keys=True) for one in objects]
    return sorted(found) if what == "route" else found


def _settled(one: dict[str, Any]) -> dict[str, Any]:
    """The order of ways is of no account."""
    if "nexthops" in one:
        one["nexthops"].sort(key=lambda hop: json.dumps(hop, sort_keys=True))
    return one


def flow(values: Any) -> str:
    """YAML in flow style; JSON is YAML."""
    return json.dumps(values)


def differing(pair: Sequence[Sequence[str]]) -> list[str]:
    ours, theirs = pair
    return [*(f"- {one}" for one in theirs if one not in ours),
            *(f"+ {one}" for one in ours if one not in theirs)]  # fmt: skip
