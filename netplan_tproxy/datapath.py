"""The BPF side as seen from user space: programs, maps, layouts, identity. Pure.

The layouts mirror bpf/tproxy/maps.h and the outcomes bpf/tproxy/consts.h; a test
compares both with what the compiler sees.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netplan_tproxy.site.model import Listener, Mark

LICENSE = "Dual BSD/GPL"
SOURCE = "tproxy.c"
PROGRAMS = ("wan_egress", "wan_ingress", "lo_ingress", "lo_egress")

HASH, PERCPU_HASH, LRU_HASH, SK_STORAGE = 1, 5, 9, 24
NO_PREALLOC = 1

OUTCOMES = (
    "intercepted", "reply", "new", "refused", "other_protocol", "forwarded", "untracked",
    "bypass_mark", "bypass_address", "malformed", "fragment", "no_memory", "no_listener",
    "assign_failed", "time_wait", "unconfigured",
)  # fmt: skip


@dataclass(frozen=True)
class MapLayout:
    """What a map is; ``type`` as in enum bpf_map_type, sizes in bytes."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0

    @property
    def pin(self) -> str:
        """The pin's name. It holds the layout: another layout is another map."""
        layout = f"{self.type} {self.key_size} {self.value_size} {self.max_entries} {self.flags}"
        return f"{self.name}@{hashlib.sha256(layout.encode()).hexdigest()[:8]}"


_LISTENER = struct.Struct("!4sHxx")
_CONFIG = struct.Struct("=IIIIII8s")
COUNTER_KEY = struct.Struct("=II")
COUNTER = struct.Struct("=QQ")

CONFIG = MapLayout("config", HASH, 4, _CONFIG.size, 1)
FLOWS = MapLayout("flows", SK_STORAGE, 4, 16, 0, NO_PREALLOC)
REPLIES = MapLayout("replies", LRU_HASH, 12, 4, 65536)
COUNTERS = MapLayout("counters", PERCPU_HASH, COUNTER_KEY.size, COUNTER.size, 4096)
MAPS = (CONFIG, FLOWS, REPLIES, COUNTERS)


def pack_config(mark: Mark, bypass: Mark, lo: int, tcp4: Listener | None) -> bytes:
    """Give ``struct config``."""
    return _CONFIG.pack(
        mark.value, mark.mask, bypass.value, bypass.mask, lo, 0, _pack_listener(tcp4)
    )


def _pack_listener(listener: Listener | None) -> bytes:
    if listener is None:
        return bytes(_LISTENER.size)
    address = bytes(int(part) for part in listener.address.split("."))
    # `enabled` is in host order: any non-zero value will do.
    return struct.pack("!4sH", address, listener.port) + struct.pack("=H", 1)


def unpack_config(value: bytes) -> tuple[Mark, Mark, int, Listener | None]:
    """Read ``struct config`` back."""
    mark, mask, bypass, bypass_mask, lo, _, tcp4 = _CONFIG.unpack(value)
    address, port = struct.unpack("!4sH", tcp4[:6])
    listener = None
    if struct.unpack("=H", tcp4[6:])[0]:
        listener = Listener(".".join(str(byte) for byte in address), port)
    return Mark(mark, mask), Mark(bypass, bypass_mask), lo, listener


@cache
def bpf_directory() -> Path:
    """Find the BPF sources: in the installed package, else beside it in a checkout."""
    here = Path(__file__).parent
    shipped = here / "_share" / "bpf"
    return shipped if shipped.is_dir() else here.parent / "bpf"


@cache
def program_source() -> str:
    """Give the programs as one text, each of our own headers put in at its first include.

    BCC rewrites map calls in the main file alone: in a header that it includes by itself
    they would stay calls through a null pointer.
    """
    seen: set[Path] = set()
    return _expanded(bpf_directory() / SOURCE, seen)


_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)


def _expanded(path: Path, seen: set[Path]) -> str:
    seen.add(path)

    def put_in(match: re.Match[str]) -> str:
        header = bpf_directory() / match[1]
        return "" if header in seen else _expanded(header, seen)

    text = path.read_text(encoding="utf-8").replace("#pragma once\n", "")
    return _INCLUDE.sub(put_in, text)


@cache
def source_digest() -> str:
    """Identify the programs: their source and the layouts of their maps.

    Returns 12 hexadecimal digits.
    """
    parts = [program_source(), *(layout.pin for layout in MAPS)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
