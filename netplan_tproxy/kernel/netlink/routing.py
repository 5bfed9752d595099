"""Routes over rtnetlink: reading and changing them."""

from __future__ import annotations

import errno

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.answer import HEADER, Reading
from netplan_tproxy.kernel.netlink.channel import CREATE, EXCL, REPLACE, Channel
from netplan_tproxy.kernel.netlink.request import Request, number, short_table
from netplan_tproxy.kernel.netlink.route_message import (
    DELROUTE,
    GETROUTE,
    MESSAGE,
    NEWROUTE,
    TABLE,
    RouteRecord,
    parsed,
    putting_body,
    removing_body,
)
from netplan_tproxy.kernel.netlink.socket import Rtnetlink


class Routing(Rtnetlink):
    """What ip(8) shows and changes."""

    def routes(self, family: int, *, table: int = 0, proto: int = 0) -> list[RouteRecord]:
        """Read the routes of a table or of a protocol; the kernel filters the dump.

        Routes with a TOS are left out: they stand beside ours, not in its place.
        """
        body = MESSAGE.pack(family, 0, 0, 0, short_table(table), proto, 0, 0, 0)
        body += number(TABLE, table) if table else b""

        def parse(reading: Reading) -> list[RouteRecord]:
            records = (parsed(family, message) for message in reading.of(family))
            # Kernels before 4.20 tell of all tables and protocols.
            return [
                one
                for one in records
                if one and table in {0, one.table} and proto in {0, one.protocol}
            ]

        # There is no such table until a route is put into it.
        return self._listed("routes", GETROUTE, body, parse, errno.ENOENT)

    def put_route(self, route: RouteRecord, *, replace: bool, place: str = "") -> None:
        """Add a route, or replace the one at its key; ``place`` is where it is asked for."""
        self._make(putting_route(route, replace=replace, place=place))

    def del_route(self, route: RouteRecord) -> None:
        """Remove a route with exactly this identity; none is fine."""
        self._make(removing_route(route))


def putting_route(route: RouteRecord, *, replace: bool, place: str = "") -> Request:
    """Ask for a route, or for it in place of the one at its key."""
    where = f"{place}: " if place else ""
    what = f"{where}{'replace' if replace else 'add'} route {route.to} table {route.table}"
    if route.raw:
        body = bytes.fromhex(route.raw)[HEADER.size :]
        return Request(what, NEWROUTE, body, CREATE | REPLACE)
    return Request(what, NEWROUTE, putting_body(route), CREATE | (REPLACE if replace else EXCL))


def removing_route(route: RouteRecord) -> Request:
    """Ask for a route with exactly this identity to go; none is fine."""
    what = f"remove route {route.to} table {route.table}"
    return Request(what, DELROUTE, removing_body(route), 0, (errno.ESRCH,))


def has_routes(family: int, table: int) -> bool:
    """Whether a table has any route: only the first answer is read, however long the table.

    Raises KernelError.
    """
    body = MESSAGE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0) + number(TABLE, table)
    try:
        return Channel().any(GETROUTE, body)
    except OSError as refusal:
        if refusal.errno == errno.ENOENT:
            return False
        message = f"read routes: {refusal.strerror or refusal}"
        raise KernelError(message, refusal.errno or 0) from refusal
