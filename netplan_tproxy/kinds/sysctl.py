"""Kind ``sysctl``: kernel settings of the network namespace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from netplan_tproxy.datapath.host import Facts, Kernel
from netplan_tproxy.kernel.host.sysctl import read_sysctl, write_sysctl
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.values import Resource
from netplan_tproxy.site.model import Site


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
    def rank(self) -> int:
        return 10

    @property
    def title(self) -> str:
        # sysctl(8) swaps dots and slashes where a name itself has a dot.
        dotted = self.path if "." in self.path else self.path.replace("/", ".")
        return f"sysctl {dotted}"

    @property
    def value(self) -> str:
        return self.setting


class SysctlKind(Kind[Sysctl]):
    """Sysctls are set and set back, never created or removed."""

    resource = Sysctl

    def desired(self, site: Site, facts: Facts) -> Iterable[Sysctl]:
        del facts
        return [Sysctl(path, " ".join(value.split())) for path, value in site.sysctls]

    def observe(self, kernel: Kernel, scope: Sequence[Sysctl]) -> Iterable[Sysctl]:
        del kernel
        found = ((resource.path, read_sysctl(resource.path)) for resource in scope)
        return [Sysctl(path, value) for path, value in found if value is not None]

    def make(self, kernel: Kernel, before: Sysctl | None, after: Sysctl | None) -> None:
        del kernel, before
        if after is not None:
            write_sysctl(after.path, after.setting)


KIND = SysctlKind()
