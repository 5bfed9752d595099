"""Kind ``sysctl``: kernel settings of the network namespace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.kernel.host.sysctl import write_sysctl
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource


@dataclass(frozen=True)
class Sysctl(Resource):
    """One setting; ``path`` is relative to /proc/sys."""

    kind: ClassVar[str] = "sysctl"
    is_setting: ClassVar[bool] = True

    path: str
    setting: str

    @property
    def key(self) -> str:
        return self.path

    @property
    def rank(self) -> Rank:
        return Rank.SYSCTL

    @property
    def title(self) -> str:
        # sysctl(8) swaps dots and slashes where a name itself has a dot.
        dotted = self.path if "." in self.path else self.path.replace("/", ".")
        return f"sysctl {dotted}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.setting,)


class SysctlKind(Kind[Sysctl]):
    """A setting always exists: it is set, and set back."""

    resource = Sysctl

    def desired(self, wanted: Wanted) -> Iterable[Sysctl]:
        return [Sysctl(path, " ".join(value.split())) for path, value in wanted.site.sysctls]

    def observe(self, seen: Snapshot, scope: Sequence[Sysctl]) -> Iterable[Sysctl]:
        for one in scope:
            setting = seen.sysctl(one.path)
            if setting is not None:
                yield Sysctl(one.path, setting)

    def make(self, kernel: Kernel, before: Sysctl | None, after: Sysctl | None) -> None:
        del kernel, before
        if after is not None:
            write_sysctl(after.path, after.setting)


KIND = SysctlKind()
