"""Ending sockets of somebody else's (SOCK_DESTROY of sock_diag(7))."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.sockets.diag import Socket

_SOCK_DIAG, _SOCK_DESTROY = 4, 21
_REQUEST_AND_ACK = 0x5
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_QUERY = struct.Struct("=BBBxI2s2s16s16sI8s")  # struct inet_diag_req_v2
_ANY_STATE = 0xFFFFFFFF


def abort(one: Socket) -> bool:
    """End a TCP socket, a half-open one too; False where this kernel does not do that.

    One that is gone by now is fine. Raises KernelError.
    """
    return abort_all([one])


def abort_all(them: Iterable[Socket]) -> bool:
    """End TCP sockets; False where this kernel does not do that. Raises KernelError."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as netlink:
            netlink.settimeout(5)
            codes = (_aborted(netlink, one) for one in them)
            code = next((code for code in codes if code not in {0, errno.ENOENT}), 0)
    except OSError as refusal:
        message = f"end a socket: {refusal.strerror or refusal}"
        raise KernelError(message, refusal.errno or 0) from refusal
    if code not in {0, errno.EOPNOTSUPP}:
        message = f"end a socket: {os.strerror(code)}"
        raise KernelError(message, code)
    return code == 0


def _aborted(netlink: socket.socket, one: Socket) -> int:
    """Return the errno of the answer, or 0."""
    ends = [address.packed for address in map(ipaddress.ip_address, (one.local, one.remote))]
    query = _QUERY.pack(
        one.family, socket.IPPROTO_TCP, 0, _ANY_STATE,
        one.port.to_bytes(2, "big"), one.remote_port.to_bytes(2, "big"), *ends,
        one.ifindex, one.cookie.to_bytes(8, sys.byteorder),
    )  # fmt: skip
    header = _HEADER.pack(_HEADER.size + len(query), _SOCK_DESTROY, _REQUEST_AND_ACK, 1, 0)
    netlink.sendto(header + query, (0, 0))
    return -int(struct.unpack_from("=i", netlink.recv(4096), _HEADER.size)[0])
