"""What all that speak rtnetlink share: refusals as our errors, lists read steadily."""

from __future__ import annotations

import errno
import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import Reading, RefusedError
from netplan_tproxy.kernel.netlink.channel import Channel, UnsteadyError, attempts
from netplan_tproxy.kernel.netlink.request import Request
from netplan_tproxy.kernel.netlink.watch import Watch

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
        except (OSError, ValueError, struct.error) as failure:
            # No answer came, or none that makes sense.
            reason = getattr(failure, "strerror", None) or failure
            code = getattr(failure, "errno", None) or 0
            raise KernelError(f"{what}: {reason}", code) from failure

    def _make(self, change: Request) -> None:
        with self._doing(change.what, *change.fine):
            self._channel.change(change.kind, change.body, change.flags)

    def make_all(self, changes: Sequence[Request]) -> dict[int, KernelError]:
        """Make many changes, in their order; one that is refused does not stop the others.

        Gives the refusals by the place of the change. Raises KernelError when an answer is
        missing: then nobody knows which are made.
        """
        if not changes:
            return {}
        refusals = {}
        with self._doing(f"{changes[0].what} and {len(changes) - 1} more"):
            asked = [(change.kind, change.body, change.flags) for change in changes]
            refusals = self._channel.change_all(asked)
        failures = {}
        for place, refusal in refusals.items():
            try:
                with self._doing(changes[place].what, *changes[place].fine):
                    raise refusal
            except KernelError as failure:
                failures[place] = failure
        return failures

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
        (NLM_F_DUMP_INTR) for some lists, for none reliably. So a long one is read until no
        change is told meanwhile and, as the kernel tells of a change a moment after it is
        there, until two such readings agree. The errors in ``nothing`` mean that it is empty.
        Raises KernelError.
        """
        with self._doing(f"read {what}"):
            try:
                reading = self._channel.dump(kind, body)
                records = parse(reading)
                if reading.datagrams <= 1:
                    return records
                return self._steady(kind, body, parse, records)
            except RefusedError as refusal:
                if refusal.errno not in nothing:
                    raise
        return []

    def _steady(
        self,
        kind: int,
        body: bytes,
        parse: Callable[[Reading], list[_Record]],
        first: list[_Record],
    ) -> list[_Record]:
        quiet: list[list[_Record]] = []
        for _ in attempts():
            with Watch(kind) as watch:
                reading = self._channel.dump(kind, body)
                if watch.changed():
                    continue
            records = parse(reading)
            if reading.datagrams <= 1 or records in quiet or (not quiet and records == first):
                return records
            quiet.append(records)
        raise UnsteadyError
