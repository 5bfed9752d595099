"""What the compiler makes of a source, and how that is kept in a file. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Compiled:
    """A program: instructions, and which of them (by index) refer to which map."""

    insns: bytes
    relocs: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Table:
    """A map as the C source declares it, sizes in bytes."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


@dataclass(frozen=True)
class Module:
    """All that came of one source."""

    programs: dict[str, Compiled]
    tables: dict[str, Table] = field(default_factory=dict)


def to_bytes(programs: dict[str, Compiled], compiler: str) -> bytes:
    """Write programs down, and which compiler made them."""
    kept = {
        name: {"insns": base64.b64encode(one.insns).decode(), "relocs": one.relocs}
        for name, one in programs.items()
    }
    return json.dumps({"compiler": compiler, "programs": kept}).encode()


def from_bytes(data: bytes) -> tuple[dict[str, Compiled], str]:
    """Read them back, with their compiler. Raises ValueError for what is no such thing."""
    try:
        kept = json.loads(data)
        programs = {
            str(name): Compiled(
                base64.b64decode(one["insns"], validate=True),
                tuple((int(index), str(to)) for index, to in one["relocs"]),
            )
            for name, one in kept["programs"].items()
        }
        return programs, str(kept["compiler"])
    except (AttributeError, KeyError, TypeError) as nonsense:
        message = "no compiled programs"
        raise ValueError(message) from nonsense
