"""While a file's mark, table and port change under traffic, no connection goes astray."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.datapath import support
from tests.lab import Capture

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.datapath.support import Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

OTHER = "marks: {intercept: 0x40/0xf0}\nroute_tables: {101: [{to: default}]}\n"
SWAPS = 10


def accept(listener: socket.socket, seen: list[int]) -> None:
    with contextlib.suppress(TimeoutError):
        while True:
            listener.accept()[0].close()
            seen.append(1)


def test_another_mark_table_and_port_open_no_hole(fresh: Applied, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    loop = f"""
        for (( count = 0; count < 50000; count++ )); do
            exec 3<>/dev/tcp/1.1.1.1/80 || exit 1
            exec 3>&-
            [ -e {stop} ] && break
        done
        echo $count"""
    first = fresh.site.read_text()
    second = first.replace("9040", "9050") + OTHER
    with (
        support.listener(fresh) as proxy,
        support.listener(fresh, ("127.0.0.1", 9050)) as other,
        Capture(fresh.lab.net, "isp0") as wire,
    ):
        old = fresh.pair(proxy)
        counts: list[list[int]] = [[], []]
        threads = []
        for listener, seen in zip((proxy, other), counts, strict=True):
            listener.settimeout(5)
            threads.append(threading.Thread(target=accept, args=(listener, seen)))
            threads[-1].start()
        child = fresh.lab.host.popen(["timeout", "60", "bash", "-c", loop], stdout=subprocess.PIPE)
        for number in range(SWAPS):
            fresh.site.write_text((second, first)[number % 2])
            fresh.apply()
        stop.touch()
        out, _ = child.communicate(timeout=30)
        old.near.sendall(b"still here")
        assert old.far.recv(10) == b"still here"
        for thread in threads:
            thread.join(10)
        old.near.close()
        old.far.close()
        assert child.returncode == 0
        assert sum(map(len, counts)) == int(out) + 1
        assert min(map(len, counts)) > 0
        assert wire.arrived("tcp") == []
