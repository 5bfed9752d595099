"""What the kernel answers to a netlink request, datagram by datagram (netlink(7)). Pure."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr

_ERROR, _DONE = 2, 3
_MULTI, _DUMP_INTR = 0x2, 0x10
_CAPPED, _ACK_TLVS = 0x100, 0x200
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG


class RefusedError(OSError):
    """The kernel's answer is no: the request was not carried out."""


@dataclass
class Reading:
    """An answer as far as it was read; ``messages`` keep their headers.

    ``interrupted``: the list changed while the kernel told it (NLM_F_DUMP_INTR), so that
    something may be missing or there twice. ``datagrams`` are those that held a message.
    """

    messages: list[bytes] = field(default_factory=list)
    datagrams: int = 0
    interrupted: bool = False

    def of(self, family: int) -> list[bytes]:
        """Give the messages about an address family, which each of them begins with.

        Of all others the kernel tells where it has not got the one that was asked for (IPv6
        that was disabled at boot).
        """
        return [
            one for one in self.messages if one[HEADER.size : HEADER.size + 1] == bytes([family])
        ]

    def take(self, data: bytes, number: int) -> bool:
        """Add what a datagram holds for request ``number``; True when the answer ends there.

        Raises RefusedError, and OSError (EBADMSG) for what is no answer.
        """
        count = len(self.messages)
        ended = self._take(data, number)
        self.datagrams += len(self.messages) > count
        return ended

    def _take(self, data: bytes, number: int) -> bool:
        at = 0
        while at + HEADER.size <= len(data):
            length, kind, flags, answered, _ = HEADER.unpack_from(data, at)
            if not HEADER.size <= length <= len(data) - at:
                raise OSError(errno.EBADMSG, "the kernel's answer is cut short")
            message = data[at : at + length]
            at += (length + 3) & ~3
            if answered != number:
                continue
            # The last message may be the only one that says so.
            self.interrupted = self.interrupted or bool(flags & _DUMP_INTR)
            if kind in {_ERROR, _DONE}:
                refused = _refusal(kind, flags, message)
                if refused is not None:
                    raise refused
                return True
            self.messages.append(message)
            if not flags & _MULTI:
                return True
        return False


def acknowledged(data: bytes) -> Iterator[tuple[int, RefusedError | None]]:
    """Give the numbers of the requests that a datagram answers; None: carried out.

    Raises OSError (EBADMSG) for what is no answer to a request for a change.
    """
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, number, _ = HEADER.unpack_from(data, at)
        if kind != _ERROR or not HEADER.size <= length <= len(data) - at:
            raise OSError(errno.EBADMSG, "the kernel's answer makes no sense")
        yield number, _refusal(kind, flags, data[at : at + length])
        at += (length + 3) & ~3


def _refusal(kind: int, flags: int, message: bytes) -> RefusedError | None:
    """Read the kernel's closing message; None: all is well."""
    if len(message) < HEADER.size + 4:
        return None
    (code,) = struct.unpack_from("=i", message, HEADER.size)
    if code >= 0:
        return None
    at = HEADER.size + 4
    if kind == _ERROR:
        # The request stands here again: all of it, or its header alone.
        (length,) = struct.unpack_from("=I", message, at)
        at += HEADER.size if flags & _CAPPED else (length + 3) & ~3
    text = _text(message, at) if flags & _ACK_TLVS else ""
    return RefusedError(-code, text or os.strerror(-code))


def _text(message: bytes, at: int) -> str:
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _ERROR_TEXT:
            return message[at + 4 : at + length].split(b"\0")[0].decode(errors="replace")
        at += max(4, (length + 3) & ~3)
    return ""
