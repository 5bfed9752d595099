"""Established TCP sockets whose own address is in none of some networks.

Of hundreds of thousands of sockets nobody looks at each in Python. The kernel leaves out what
is not asked for (INET_DIAG_REQ_BYTECODE, linux/inet_diag.h), and the rest is counted in bulk.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

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
# Where the own address is in a message, in words of four bytes.
_ADDRESS_AT = 6


@dataclass
class Established:
    """``by_address``: how many sockets have an address of their own, as four or 16 bytes."""

    by_address: Counter[bytes] = field(default_factory=Counter)
    answers: list[bytes] = field(default_factory=list)

    def first(self, most: int, wanted: Callable[[str], bool]) -> list[diag.Socket]:
        """Return the first ``most`` of those whose own address is ``wanted``."""
        chosen: list[diag.Socket] = []
        for data in self.answers:
            for payload in diag.payloads(data):
                if len(chosen) >= most:
                    return chosen
                one = diag.parsed("tcp", payload)
                if wanted(one.local):
                    chosen.append(one)
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


def _addresses(data: bytes, words: int) -> Iterable[bytes]:
    """Give the own address of each socket."""
    every = diag.stride(data) // 4
    if not every:
        at = 4 * _ADDRESS_AT - diag.HEADER_SIZE
        return [payload[at : at + 4 * words] for payload in diag.payloads(data)]
    columns = memoryview(data).cast("I")
    # Bytes of one column after the other, put together again by zip.
    parts = [columns[_ADDRESS_AT + word :: every].tolist() for word in range(words)]
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
