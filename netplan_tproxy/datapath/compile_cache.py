"""Programs that were compiled before for this very kernel, kept in files.

LLVM takes a second and 100 MB, and the outcome follows from its input alone. An entry's name is
the digest of all of that input but the compiler, which stands in the entry: without one on this
host an entry serves all the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netplan_tproxy.kernel.bpf.compiled import Compiled, Module, from_bytes, to_bytes
from netplan_tproxy.kernel.bpf.toolchain import compiler_here
from netplan_tproxy.system.cache import Cache

_log = logging.getLogger(__name__)
_FORMAT = 1


@dataclass(frozen=True)
class Source:
    """What is compiled: ``text`` with ``defines``, below the header tree ``headers``."""

    text: str
    headers: Path
    defines: Mapping[str, str]
    functions: Sequence[str]

    @property
    def key(self) -> str:
        """Name its entry: 64 hexadecimal digits."""
        kernel = os.uname()
        parts = [
            _FORMAT, self.text, _tree(self.headers), sorted(self.defines.items()),
            sorted(self.functions), kernel.release, kernel.version, kernel.machine,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class CompileCache:
    """Reads and keeps them."""

    def __init__(self, folder: str) -> None:
        """``folder`` "": none."""
        self._cache = Cache(folder)

    def known(self, source: Source) -> Module | None:
        """Give what came of a source; None where it has to be compiled."""
        entry = self._cache.read(source.key)
        if entry is None:
            return None
        try:
            programs, compiler = from_bytes(entry)
        except ValueError:
            return None
        if compiler_here() not in {"", compiler} or programs.keys() != set(source.functions):
            return None
        _log.debug("  programs compiled before: %s", source.key)
        return Module(programs)

    def keep(self, source: Source, programs: dict[str, Compiled]) -> None:
        """Keep what came of a source, if that can be."""
        self._cache.write(source.key, to_bytes(programs, compiler_here()))


@cache
def _tree(folder: Path) -> list[tuple[str, str]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        (str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
    ]
