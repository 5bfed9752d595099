"""Established TCP sockets whose own address is in none of some networks.

Of hundreds of thousands of sockets nobody looks at each in Python. The kernel leaves out what
is not asked for (INET_DIAG_REQ_BYTECODE, linux/inet_diag.h), and the rest is counted in bulk.
Where there are more still, the first of them are taken for all: the kernel goes by its hash table,
in which they stand in no order.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netplan_tproxy.kernel.sockets import diag

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE
_ATTRIBUTE = struct.Struct("=HH")
_JUMP, _SOURCE = 1, 7  # INET_DIAG_BC_JMP, INET_DIAG_BC_S_COND
_OP = struct.Struct("=BBH")  # struct inet_diag_bc_op: code, and how far to go on yes and on no
_CONDITION = struct.Struct("=BBxxi")  # struct inet_diag_hostcond: family, prefix length, port
# A jump has 16 bits. What more networks would leave out is left to the caller.
_MOST_NETWORKS = 1000
# Where the own address is in a message, and the state (the second byte), in words of four bytes.
_ADDRESS_AT, _STATE_WORD = 6, 4
_STATE_AT = 1
# Without SYN_RECV, LISTEN, TIME_WAIT and NEW_SYN_RECV, which are counted elsewhere or no sockets.
_IN_USE = (1, 2, 4, 5, 7, 8, 9, 11)
_SOCKSTAT = {
    socket.AF_INET: ("sockstat", "TCP:"),
    socket.AF_INET6: ("sockstat6", "TCP6:"),
}
_MAPPED = bytes(10) + b"\xff\xff"


@dataclass
class Established:
    """``by_address``: how many sockets have an address of their own, as four or 16 bytes.

    ``weights`` by the length of an address: how many sockets each of them stands for.
    """

    by_address: Counter[bytes] = field(default_factory=Counter)
    answers: list[bytes] = field(default_factory=list)
    weights: dict[int, float] = field(default_factory=lambda: {4: 1.0, 16: 1.0})

    def first(self, most: int, wanted: Callable[[bytes], bool]) -> list[diag.Socket]:
        """Return the first ``most`` of those whose own address is ``wanted``."""
        chosen: list[diag.Socket] = []
        for data in self.answers:
            for payload in diag.payloads(data):
                if len(chosen) >= most:
                    return chosen
                at = 4 * _ADDRESS_AT - diag.HEADER_SIZE
                address = payload[at : at + (4 if payload[0] == socket.AF_INET else 16)]
                if payload[_STATE_AT] == diag.ESTABLISHED and wanted(address):
                    chosen.append(diag.parsed("tcp", payload))
        return chosen


def established(without: Sequence[Network]) -> Established:
    """Read the sockets of both families. Raises KernelError."""
    code = bytecode(without)
    filtering = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(code), _BYTECODE) + code if code else b""
    sockets = Established()
    for family in _FAMILIES:
        for data in diag.dump("tcp", family, (diag.ESTABLISHED,), filtering=filtering):
            sockets.answers.append(data)
            sockets.by_address.update(_addresses(data, 1 if family == socket.AF_INET else 4))
    return sockets


def sample(without: Sequence[Network], in_use: Mapping[int, int], most: int) -> Established:
    """Read about ``most`` sockets of each family. Raises KernelError.

    ``in_use``: how many there are, in whatever state, by family (``sockets_in_use``).
    """
    within = Within(without)
    sockets = Established()
    for family in _FAMILIES:
        size = 4 if family == socket.AF_INET else 16
        seen = 0
        for data in diag.dump("tcp", family, _IN_USE):
            states = _column(data, _STATE_WORD)
            seen += len(states)
            sockets.answers.append(data)
            addresses = zip(_addresses(data, size // 4), states, strict=True)
            sockets.by_address.update(
                address
                for address, state in addresses
                if state.to_bytes(4, sys.byteorder)[1] == diag.ESTABLISHED
            )
            if seen >= most:
                break
        sockets.weights[size] = max(1.0, in_use[family] / seen) if seen else 1.0
    for address in list(sockets.by_address):
        if within(address):
            del sockets.by_address[address]
    return sockets


def sockets_in_use() -> dict[int, int]:
    """Count the TCP sockets by family, in whatever state but TIME_WAIT (/proc/net/sockstat)."""
    counts = dict.fromkeys(map(int, _FAMILIES), 0)
    for family, (file, name) in _SOCKSTAT.items():
        with contextlib.suppress(OSError):
            for line in Path("/proc/thread-self/net", file).read_text("ascii").splitlines():
                words = line.split()
                if words[:2] == [name, "inuse"]:
                    counts[family] = int(words[2])
    return counts


class Within:
    """Whether an address is in one of the networks."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._single = {one.network_address.packed for one in networks if one.num_addresses == 1}
        self._wide = [one for one in networks if one.num_addresses > 1]

    def __call__(self, packed: bytes) -> bool:
        """Whether it is; an IPv4 address may be mapped."""
        packed = packed.removeprefix(_MAPPED)
        if packed in self._single:
            return True
        address = ipaddress.ip_address(packed) if self._wide else None
        return any(address in network for network in self._wide)


def _column(data: bytes, word: int) -> list[int]:
    """Give one word of the message of each socket."""
    every = diag.stride(data) // 4
    if every:
        return memoryview(data).cast("I")[word::every].tolist()
    at = 4 * word - diag.HEADER_SIZE
    payloads = diag.payloads(data)
    return [int.from_bytes(one[at : at + 4], sys.byteorder) for one in payloads]


def _addresses(data: bytes, words: int) -> Iterable[bytes]:
    """Give the own address of each socket."""
    parts = [_column(data, _ADDRESS_AT + word) for word in range(words)]
    packed = struct.Struct(f"={words}I").pack
    return [packed(*address) for address in zip(*parts, strict=True)]


def bytecode(without: Sequence[Network]) -> bytes:
    """Return the filter that refuses a socket whose own address is in one of the networks."""
    conditions = [_condition(network) for network in without[:_MOST_NETWORKS]]
    left = sum(len(condition) + _OP.size for condition in conditions)
    code = b""
    for condition in conditions:
        left -= len(condition)
        # To the end is a yes, beyond it is a no.
        code += condition + _OP.pack(_JUMP, _OP.size, left + _OP.size)
        left -= _OP.size
    return code


def _condition(network: Network) -> bytes:
    """On yes it goes on to the jump behind it, on no past that."""
    address = network.network_address.packed
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6  # noqa: PLR2004
    size = _OP.size + _CONDITION.size + len(address)
    op = _OP.pack(_SOURCE, size, size + _OP.size)
    return op + _CONDITION.pack(family, network.prefixlen, -1) + address
