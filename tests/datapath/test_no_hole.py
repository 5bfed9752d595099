"""While a file's mark, table and port change under traffic, no connection goes astray."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.datapath import support
from tests.lab import Capture
from tests.lab.patience import PATIENCE
from tests.lab.streams import accepting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datapath.support import Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

OTHER = "marks: {intercept: 0x40/0xf0}\nroute_tables: {101: [{to: default}]}\n"
SWAPS = 10


def test_another_mark_table_and_port_open_no_hole(fresh: Applied, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    loop = support.connecting_until(stop)
    first = fresh.site.read_text()
    second = first.replace("9040", "9050") + OTHER
    with (
        support.listener(fresh) as proxy,
        support.listener(fresh, ("127.0.0.1", 9050)) as other,
        Capture(fresh.lab.net, "isp0") as wire,
    ):
        old = fresh.pair(proxy)
        with accepting(proxy) as by_one, accepting(other) as by_other:
            words = ["timeout", "300", "bash", "-c", loop]
            child = fresh.lab.host.popen(words, stdout=subprocess.PIPE)
            for number in range(SWAPS):
                fresh.site.write_text((second, first)[number % 2])
                fresh.apply()
            stop.touch()
            out, _ = child.communicate(timeout=PATIENCE)
        counts = [by_one, by_other]
        old.near.sendall(b"still here")
        assert old.far.recv(10) == b"still here"
        old.near.close()
        old.far.close()
        assert child.returncode == 0
        assert sum(map(len, counts)) == int(out) + 1
        assert min(map(len, counts)) > 0
        assert wire.arrived("tcp") == []
