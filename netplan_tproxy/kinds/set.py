"""Kind ``set``: the networks, ports, users and cgroups that the policy names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.policy import Prefix
from netplan_tproxy.datapath.snapshot import Snapshot
from netplan_tproxy.datapath.wanted import Wanted
from netplan_tproxy.resource.kind import Kind
from netplan_tproxy.resource.ranks import Rank
from netplan_tproxy.resource.values import Resource


@dataclass(frozen=True)
class Set(Resource):
    """A set, by the digest of its content: it is built, filled, frozen, and never changed."""

    kind: ClassVar[str] = "set"

    digest: str
    # False: it is not pinned, or the programs find another one or none.
    whole: bool = True
    what: str = field(default="", compare=False)
    size: int = field(default=0, compare=False)
    prefixes: tuple[Prefix, ...] = field(
        default=(), compare=False, repr=False, metadata={"transient": True}
    )

    @property
    def key(self) -> str:
        return self.digest

    @property
    def rank(self) -> Rank:
        return Rank.SET

    @property
    def title(self) -> str:
        return f"set {self.what or self.digest}"

    @property
    def parts(self) -> tuple[str, ...]:
        if not self.whole:
            return ("not what the programs find",)
        return (f"{self.size} prefix{'' if self.size == 1 else 'es'}",) if self.size else ()

    @property
    def signed(self) -> bool:
        return True

    def satisfied_by(self, live: Resource) -> bool:
        # Undo of a repair can only put a whole one there.
        return self == live or not self.whole


class SetKind(Kind[Set]):
    """A set is in place when it is pinned and the programs find that very map."""

    resource = Set

    def desired(self, wanted: Wanted) -> Iterable[Set]:
        for one in wanted.policy.sets:
            yield Set(
                digest=f"{one.id:016x}",
                what=one.what,
                size=len(one.prefixes),
                prefixes=one.prefixes,
            )

    def observe(self, seen: Snapshot, scope: Sequence[Set]) -> Iterable[Set]:
        known = {one.digest: one for one in scope}
        for digest, whole in seen.sets().items():
            one = known.get(digest, Set(digest))
            yield Set(digest, whole, one.what, one.size)

    def prepare(self, kernel: Kernel, before: Set | None, after: Set | None) -> None:
        if after is not None:
            kernel.bpf.sets.build(after.digest, after.prefixes)
        elif before is not None:
            kernel.bpf.sets.hold(before.digest)

    def make(self, kernel: Kernel, before: Set | None, after: Set | None) -> None:
        if after is not None:
            kernel.bpf.sets.put(after.digest)
        elif before is not None:
            kernel.bpf.sets.remove(before.digest)


KIND = SetKind()
