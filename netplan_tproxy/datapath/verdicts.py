"""What the programs have decided about one socket of this process."""

from __future__ import annotations

import ipaddress
import struct
import sys
from pathlib import Path

from netplan_tproxy.datapath.layouts import FLOWS, REPLIES, TRACKED
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.dump import opened

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


def verdict_on_connection(maps: Path, descriptor: int) -> int:
    """Read the verdict in the storage of a TCP socket; 0: the programs have not met it.

    ``maps`` is the directory of the pins. Raises KernelError.
    """
    with opened(str(maps / FLOWS.pin)) as fd:
        value = fd and bpf_maps.lookup(fd, struct.pack("=i", descriptor), FLOWS.value_size)
    return _VERDICT.unpack_from(value)[0] if value else 0


def verdict_on_datagrams(maps: Path, key: bytes) -> int:
    """Read the verdict on a UDP flow; 0: the programs have not met it. Raises KernelError."""
    with opened(str(maps / TRACKED.pin)) as fd:
        value = bpf_maps.entry(fd, key) if fd is not None else None
    return int.from_bytes(value[:4], sys.byteorder) & _MASK if value else 0


def forget(maps: Path, key: bytes) -> None:
    """Remove what the programs remember of a flow beside its sockets. Raises KernelError."""
    for layout in (TRACKED, REPLIES):
        with opened(str(maps / layout.pin)) as fd:
            if fd is not None:
                bpf_maps.delete(fd, key)


def _address(text: str) -> bytes:
    packed = ipaddress.ip_address(text).packed
    return packed if len(packed) > 4 else bytes(10) + b"\xff\xff" + packed  # noqa: PLR2004
