"""What the programs have decided about one socket of this process."""

from __future__ import annotations

import ipaddress
import struct
import sys

from netplan_tproxy.datapath.layouts import FLOWS, REPLIES, TRACKED
from netplan_tproxy.datapath.pinned_maps import PinnedMaps
from netplan_tproxy.kernel.bpf import maps as bpf_maps

BYPASS, INTERCEPT = 1, 2  # enum verdict in bpf/common/socket_verdict.h
_MASK = 3
_VERDICT = struct.Struct("=18xH")  # in struct socket_verdict
_KEY = struct.Struct("=16s16s2s2sI")  # struct flow_key
_NUMBERS = {"tcp": 6, "udp": 17}

End = tuple[str, int]


def flow_key(protocol: str, source: End, target: End) -> bytes:
    """Give ``struct flow_key``. Pure."""
    ends = source, target
    addresses = (_address(address) for address, _ in ends)
    ports = (port.to_bytes(2, "big") for _, port in ends)
    return _KEY.pack(*addresses, *ports, _NUMBERS[protocol])


def verdict_on_connection(maps: PinnedMaps, descriptor: int) -> int:
    """Read the verdict in the storage of a TCP socket; 0: the programs have not met it.

    Raises KernelError.
    """
    fd = maps.find(FLOWS.pin)
    if fd is None:
        return 0
    with fd:
        value = bpf_maps.lookup(fd, struct.pack("=i", descriptor), FLOWS.value_size)
    return _VERDICT.unpack_from(value)[0] if value else 0


def verdict_on_datagrams(maps: PinnedMaps, key: bytes) -> int:
    """Read the verdict on a UDP flow; 0: the programs have not met it. Raises KernelError."""
    value = maps.read_entry(TRACKED.pin, key)
    return int.from_bytes(value[:4], sys.byteorder) & _MASK if value else 0


def forget(maps: PinnedMaps, key: bytes) -> None:
    """Remove what the programs remember of a flow beside its sockets. Raises KernelError."""
    for layout in (TRACKED, REPLIES):
        fd = maps.find(layout.pin)
        if fd is not None:
            with fd:
                bpf_maps.delete(fd, key)


def _address(text: str) -> bytes:
    packed = ipaddress.ip_address(text).packed
    return packed if len(packed) > 4 else bytes(10) + b"\xff\xff" + packed  # noqa: PLR2004
