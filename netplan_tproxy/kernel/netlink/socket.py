"""What all that speak rtnetlink share: refusals as our errors, lists read steadily."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import Reading, RefusedError
from netplan_tproxy.kernel.netlink.channel import Channel, UnsteadyError, attempts

_log = logging.getLogger(__name__)
_Record = TypeVar("_Record")


class Rtnetlink:
    """Requests to the network namespace that the thread is in at the first of them."""

    def __init__(self) -> None:
        self._channel = Channel()

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()

    @contextmanager
    def _doing(self, what: str, *fine: int) -> Iterator[None]:
        change = not what.startswith("read ")
        try:
            yield
            if change:
                _log.debug("  netlink: %s: done", what)
        except RefusedError as refusal:
            code = refusal.errno or 0
            name = errno.errorcode.get(code, str(code))
            if change:
                _log.debug("  netlink: %s: %s", what, name)
            if code not in fine:
                raise KernelError(f"{what}: {refusal.strerror} ({name})", code) from refusal
        except (OSError, ValueError) as failure:
            # No answer came, or none that makes sense.
            reason = getattr(failure, "strerror", None) or failure
            code = getattr(failure, "errno", None) or 0
            raise KernelError(f"{what}: {reason}", code) from failure

    def _listed(
        self,
        what: str,
        kind: int,
        body: bytes,
        parse: Callable[[Reading], list[_Record]],
        *nothing: int,
    ) -> list[_Record]:
        """Read a list as it was at one time.

        One datagram is of one time. Of more, what is there all the while may be missing or
        there twice, since the kernel goes on by counting what it has told. It marks that
        (NLM_F_DUMP_INTR) for some lists, for none reliably: so a long one is read until two
        readings agree. The errors in ``nothing`` mean that it is empty. Raises KernelError.
        """
        before: list[_Record] | None = None
        with self._doing(f"read {what}"):
            for _ in attempts():
                try:
                    reading = self._channel.dump(kind, body)
                except RefusedError as refusal:
                    if refusal.errno not in nothing:
                        raise
                    return []
                records = parse(reading)
                if reading.datagrams <= 1 or records == before:
                    return records
                before = records
            raise UnsteadyError
