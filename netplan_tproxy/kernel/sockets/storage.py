"""TCP sockets with what a BPF map of socket storage holds of each (sock_diag(7); Linux >= 5.7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from netplan_tproxy.kernel.sockets import diag

# linux/inet_diag.h and linux/sock_diag.h
_STORAGES_WANTED, _MAP_FD = 2, 1
_STORAGES, _STORAGE, _VALUE = 20, 1, 3
_MESSAGE = 72  # struct inet_diag_msg
_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF  # without the flags in the upper bits


def stored(
    family: int, states: tuple[int, ...], storage: int
) -> Iterator[tuple[diag.Socket, bytes]]:
    """Give the sockets in the given TCP states that have a value in the map, and the value.

    ``storage`` is the map's descriptor. Raises KernelError.
    """
    wanted = _packed(_STORAGES_WANTED, _packed(_MAP_FD, struct.pack("=I", storage)))
    for data in diag.dump("tcp", family, states, filtering=wanted):
        for payload in diag.payloads(data):
            value = _value(payload)
            if value is not None:
                yield diag.parsed("tcp", payload), value


def _packed(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


def _value(payload: bytes) -> bytes | None:
    for kind, storages in _attributes(payload[_MESSAGE:]):
        if kind == _STORAGES:
            for inner, storage in _attributes(storages):
                if inner == _STORAGE:
                    return dict(_attributes(storage)).get(_VALUE)
    return None


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & _KIND, data[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
