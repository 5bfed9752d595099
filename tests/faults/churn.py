"""Others who change the network all the time, and leave it as it was."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.patience import LONG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Namespace

# Each undoes what the one before does; what they do is nothing that a site file asks for.
_LINES = (
    ("rule add prio {n} lookup 9", "rule del prio {n} lookup 9"),
    ("route add prohibit 192.0.2.{n} table 100", "route del prohibit 192.0.2.{n} table 100"),
    ("link add c{n} type dummy", "link del c{n}"),
)  # fmt: skip
_NUMBERS = range(11, 14)


@contextmanager
def churning(namespace: Namespace) -> Iterator[None]:
    """Let rules, routes and links come and go; by the end they are gone."""
    coming = [come.format(n=n) for n in _NUMBERS for come, _ in _LINES]
    going = [go.format(n=n) for n in _NUMBERS for _, go in _LINES]
    with tempfile.TemporaryDirectory() as folder:
        over = Path(folder) / "over"
        # A minute or two at most.
        loop = (
            'for n in $(seq 2000); do [ -e "$2" ] && exit; echo "$1" | ip -force -batch - 2>&-; '
            "sleep 0.03; done"
        )
        child = namespace.popen(["sh", "-c", loop, "sh", "\n".join(coming + going), str(over)])
        try:
            yield
        finally:
            over.touch()
            child.wait(LONG)
