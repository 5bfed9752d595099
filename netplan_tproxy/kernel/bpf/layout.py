"""What a map is made of (enum bpf_map_type, linux/bpf.h)."""

from __future__ import annotations

from dataclasses import dataclass

HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU_HASH, LPM_TRIE = 1, 2, 5, 6, 9, 11
HASH_OF_MAPS, SOCKHASH, SK_STORAGE = 13, 18, 24
NO_PREALLOC = 1


@dataclass(frozen=True)
class MapSpec:
    """How to create a map; ``type`` as in enum bpf_map_type, sizes in bytes."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    inner: MapSpec | None = None
