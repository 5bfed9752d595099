"""A host on which nothing but a mark, set by netfilter in prerouting, leads to a default route."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.lab.namespace import Namespace

_MARK = "iifname lan0 meta mark set meta mark or 0x100"
_HOOK = "type filter hook prerouting priority mangle"
_TABLE = f"table inet others {{\nchain first {{\n{_HOOK}\n{_MARK}\n}}\n}}\n"
_VIA = {"-4": "10.77.0.1", "-6": "fd77::1"}


@contextlib.contextmanager
def marked_away(host: Namespace) -> Iterator[None]:
    """Both families' default routes of a lab's HOST are in a table that only the mark leads to."""

    def ip(*words: str) -> None:
        host.run(["ip", *words])

    for family, gateway in _VIA.items():
        ip(family, "route", "add", "default", "via", gateway, "table", "50")
        ip(family, "rule", "add", "priority", "2000", "fwmark", "0x100", "lookup", "50")
        ip(family, "route", "flush", "default")
    host.run(["nft", "-f", "-"], stdin=_TABLE)
    try:
        yield
    finally:
        host.run(["nft", "flush", "ruleset"])
        for family, gateway in _VIA.items():
            ip(family, "rule", "del", "priority", "2000")
            ip(family, "route", "flush", "table", "50")
            ip(family, "route", "flush", "default")
            ip(family, "route", "add", "default", "via", gateway, "dev", "wan0")
