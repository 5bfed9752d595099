"""Traffic where our programs are tcx links, and while they change places with filters."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.errors import KernelError
from tests.datapath import support
from tests.lab import Capture, HttpServer
from tests.lab.counters import read_counters
from tests.lab.foreign import ACCEPTS, put_tcx
from tests.lab.patience import PATIENCE
from tests.lab.sabotage import raising, sabotaged
from tests.lab.streams import accepting, read_all
from tests.lab.tcx import HAS_TCX

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datapath.support import Applied

pytestmark = [
    pytest.mark.lab,
    pytest.mark.bpf,
    pytest.mark.skipif(not HAS_TCX, reason="tcx came with Linux 6.6"),
]
TURNS = 8
# Of each hook and its qdisc.
CHANGES = 4 + 4 + 2


def talk(pairs: list[support.Pair]) -> None:
    for one, two in [pair for near, far in pairs for pair in ((near, far), (far, near))]:
        one.sendall(b"hello")
        assert two.recv(5) == b"hello"


def closed(pairs: list[support.Pair]) -> None:
    for end in [end for pair in pairs for end in pair]:
        end.close()


def test_while_links_and_filters_change_places_no_connection_goes_astray(
    fresh: Applied, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    loop = support.connecting_until(stop)
    first = fresh.site.read_text()
    with support.listener(fresh) as proxy, Capture(fresh.lab.net, "isp0") as wire:
        pairs = [fresh.pair(proxy, device) for device in ("", "wan0")]
        with accepting(proxy) as accepted:
            words = ["timeout", "300", "bash", "-c", loop]
            child = fresh.lab.host.popen(words, stdout=subprocess.PIPE)
            for number in range(TURNS):
                fresh.site.write_text(f"{first}attach: {('tcx', 'clsact')[number % 2]}\n")
                fresh.apply()
                talk(pairs)
            stop.touch()
            out, _ = child.communicate(timeout=PATIENCE)
        talk(pairs)
        closed(pairs)
        assert child.returncode == 0
        assert len(accepted) == int(out) + 1
        assert wire.arrived("tcp") == []


@pytest.mark.parametrize("way", ["clsact", "tcx"])
def test_a_change_of_places_that_fails_at_its_end_breaks_no_connection(
    fresh: Applied, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    first = fresh.site.read_text()
    fresh.write(f"attach: {way}\n")
    fresh.apply()
    with support.listener(fresh) as proxy:
        pairs = [fresh.pair(proxy, device) for device in ("", "wan0")]
        fresh.site.write_text(f"{first}attach: {'clsact' if way == 'tcx' else 'tcx'}\n")
        with sabotaged(monkeypatch, raising(KernelError("no")), CHANGES - 1, done=True):
            with fresh.lab.host.entered():
                assert cli.main([str(fresh.site)]) == 3
        talk(pairs)
        closed(pairs)


def test_what_a_tcx_program_of_others_accepts_comes_to_ours(fresh: Applied) -> None:
    with put_tcx(fresh.lab.host, "wan0", "egress", code=ACCEPTS):
        with support.listener(fresh) as proxy:
            before = read_counters(fresh)
            with fresh.client("wan0") as leaks, pytest.raises(ConnectionRefusedError):
                leaks.connect(support.WEB)
            assert read_counters(fresh) == before
            fresh.apply()
            pairs = [fresh.pair(proxy, device) for device in ("", "wan0")]
            talk(pairs)
            closed(pairs)
        with HttpServer(fresh.lab.net), fresh.client(mark=2) as direct:
            direct.connect(support.WEB)
            direct.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert read_all(direct)


@pytest.mark.parametrize("way", ["clsact", "tcx"])
def test_what_ours_leave_alone_goes_on_to_the_programs_behind(fresh: Applied, way: str) -> None:
    fresh.write(f"attach: {way}\n")
    fresh.apply()
    with HttpServer(fresh.lab.net), fresh.client(mark=2) as direct:
        direct.connect(support.WEB)
        direct.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(direct)
    drops = ["protocol", "all", "bpf", "da", "bytecode", "1,6 0 0 2,"]
    fresh.lab.host.run(["tc", "qdisc", "replace", "dev", "wan0", "clsact"])
    fresh.lab.host.run(["tc", "filter", "add", "dev", "wan0", "egress", "prio", "30", *drops])
    with fresh.client(mark=2) as direct:
        direct.settimeout(0.5)
        with pytest.raises(TimeoutError):
            direct.connect(support.WEB)
    with support.listener(fresh) as proxy:
        pairs = [fresh.pair(proxy, device) for device in ("", "wan0")]
        talk(pairs)
        closed(pairs)
