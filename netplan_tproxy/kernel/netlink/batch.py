"""Many netlink requests with few system calls, each with an answer of its own (netlink(7)).

The kernel carries out the messages of one datagram one after the other, and goes on after
one that it refuses. A refusal is always answered, a success only where NLM_F_ACK asks for it:
so the last message alone asks, and its answer says that the others are through.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from netplan_tproxy.errors import KernelError

REQUEST, ACK, REPLACE, EXCL, CREATE = 0x1, 0x4, 0x100, 0x200, 0x400

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ERROR = 2
_CAPPED, _WITH_TEXT = 0x100, 0x200  # NLM_F_CAPPED, NLM_F_ACK_TLVS
_TEXT = 1  # NLMSGERR_ATTR_MSG
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
# As many refusals fit into a receive buffer of the default size: what does not fit is lost.
_TOGETHER = 100
_SECONDS = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One change; ``what`` names it in messages, and ``fine`` are refusals that are none."""

    what: str
    kind: int
    flags: int
    body: bytes
    fine: tuple[int, ...] = ()


def carried_out(numbered: Sequence[tuple[int, Request]]) -> dict[int, KernelError]:
    """Make all changes, in their order; one that is refused does not stop the others.

    Gives the first refusal of each number. Raises KernelError where an answer is missing:
    then nobody knows which of the changes were made.
    """
    failures: dict[int, KernelError] = {}
    for at, refusal in sorted(_carried_out([request for _, request in numbered]).items()):
        failures.setdefault(numbered[at][0], refusal)
    return failures


def _carried_out(requests: Sequence[Request]) -> dict[int, KernelError]:
    refusals: dict[int, KernelError] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as netlink:
            netlink.settimeout(_SECONDS)
            for option in (_CAP_ACK, _EXT_ACK):
                netlink.setsockopt(_SOL_NETLINK, option, 1)
            for first in range(0, len(requests), _TOGETHER):
                part = range(first, min(first + _TOGETHER, len(requests)))
                netlink.sendto(_datagram(requests, part), (0, 0))
                refusals |= _refusals(netlink, requests, part)
    except OSError as failure:
        what = f"{requests[0].what} and {len(requests) - 1} more"
        message = f"{what}: {failure.strerror or failure}"
        raise KernelError(message, failure.errno or 0) from failure
    return refusals


def _datagram(requests: Sequence[Request], part: range) -> bytes:
    messages = []
    for number in part:
        request = requests[number]
        flags = request.flags | REQUEST | (ACK if number == part[-1] else 0)
        size = _HEADER.size + len(request.body)
        messages.append(_HEADER.pack(size, request.kind, flags, number, 0))
        messages.append(request.body + bytes(-len(request.body) % 4))
    return b"".join(messages)


def _refusals(
    netlink: socket.socket, requests: Sequence[Request], part: range
) -> dict[int, KernelError]:
    refusals = {}
    while True:
        data = netlink.recv(1 << 16)
        at = 0
        while at + _HEADER.size + 4 <= len(data):
            length, kind, flags, number, _ = _HEADER.unpack_from(data, at)
            if kind != _ERROR or length < _HEADER.size + 4 or number not in part:
                raise OSError(errno.EBADMSG, "the kernel's answer makes no sense")
            refusal = _refusal(requests[number], flags, data[at : at + length])
            if refusal is not None:
                refusals[number] = refusal
            if number == part[-1]:
                return refusals
            at += (length + 3) & ~3


def _refusal(request: Request, flags: int, message: bytes) -> KernelError | None:
    (answer,) = struct.unpack_from("=i", message, _HEADER.size)
    code = -answer
    name = errno.errorcode.get(code, str(code)) if code else "done"
    _log.debug("  netlink: %s: %s", request.what, name)
    if not code or code in request.fine:
        return None
    text = os.strerror(code)
    # The header of the request stands here again.
    at = 2 * _HEADER.size + 4
    while flags & _WITH_TEXT and flags & _CAPPED and at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _TEXT:
            text = message[at + 4 : at + length].split(b"\0")[0].decode(errors="replace")
        at += max(4, (length + 3) & ~3)
    return KernelError(f"{request.what}: {text} ({name})", code)
