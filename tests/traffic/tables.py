"""The programs' tables from outside."""

from __future__ import annotations

import socket
import struct
import sys
import time

from netplan_tproxy.datapath import layouts
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from tests.traffic.support import Applied

Address = tuple[str, int]


def open_table(on: Applied, layout: layouts.MapLayout) -> Fd:
    return bpf_maps.open_pinned(str(on.maps / layout.pin))


def flow_key(proto: int, client: Address, target: Address) -> bytes:
    """What a flow goes by, seen from the client (``struct flow_key``)."""

    def mapped(address: str) -> bytes:
        if ":" in address:
            return socket.inet_pton(socket.AF_INET6, address)
        return bytes(10) + b"\xff\xff" + socket.inet_aton(address)

    ports = struct.pack("!HH", client[1], target[1])
    return mapped(client[0]) + mapped(target[0]) + ports + struct.pack("=I", proto)


def entries(on: Applied, layout: layouts.MapLayout) -> int:
    with open_table(on, layout) as fd:
        return sum(1 for _ in bpf_maps.keys(fd, layout.key_size))


def age(on: Applied, key: bytes, seconds: float, *, lived: float = 0) -> None:
    """Let a flow's last datagram, ``lived`` seconds after its first, be so long ago."""
    layout = layouts.TRACKED
    with open_table(on, layout) as fd:
        value = bpf_maps.lookup(fd, key, layout.value_size)
        assert value is not None
        entry, epoch, _, _, doubtful = layouts.FLOW_VERDICT.unpack(value)
        seen, began = (
            int((time.monotonic() - seconds - before) * 1e9) >> 30 & 0xFFFFFFFF
            for before in (0, lived)
        )
        packed = layouts.FLOW_VERDICT.pack(entry, epoch, began, seen, doubtful)
        bpf_maps.update(fd, key, packed)


def age_visitor(on: Applied, key: bytes, seconds: float) -> None:
    """Let a visitor's last datagram be so long ago."""
    layout = layouts.INBOUND
    with open_table(on, layout) as fd:
        assert bpf_maps.lookup(fd, key, layout.value_size) is not None
        tick = int((time.monotonic() - seconds) * 1e9) >> 30 & 0xFFFFFFFF
        bpf_maps.update(fd, key, tick.to_bytes(layout.value_size, sys.byteorder))


def forget(on: Applied, layout: layouts.MapLayout, key: bytes) -> bool:
    """Take an entry away, as the kernel does where a full table needs room."""
    with open_table(on, layout) as fd:
        return bool(bpf_maps.delete(fd, key))


def wipe(on: Applied, layout: layouts.MapLayout) -> None:
    """Empty every slot of an array, as others' entries do in time."""
    with open_table(on, layout) as fd:
        for slot in range(layout.max_entries):
            bpf_maps.update(fd, slot.to_bytes(layout.key_size, sys.byteorder), bytes(8))
