from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import programs as datapath
from tests.datapath import support
from tests.datapath.support import Applied
from tests.lab import Capture
from tests.lab.counters import counting, read_counters
from tests.lab.patience import PATIENCE, eventually
from tests.lab.streams import accepting, hears_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture
def newer_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Another release of the programs: the text is another, what they do is not."""
    text = datapath.program_source() + "\n/* the next release */\n"
    monkeypatch.setattr(datapath, "program_source", lambda *_: text)
    datapath.source_digest.cache_clear()
    yield datapath.source_digest()
    monkeypatch.undo()
    datapath.source_digest.cache_clear()


def filters(host: Applied) -> str:
    show = ["tc", "filter", "show", "dev", "wan0"]
    return "".join(host.lab.host.run([*show, hook]).stdout for hook in ("egress", "ingress"))


def test_a_new_program_takes_over_the_connections_of_the_old_one(
    fresh: Applied, request: pytest.FixtureRequest
) -> None:
    with support.listener(fresh) as proxy, Capture(fresh.lab.net, "isp0") as wire:
        pairs = [fresh.pair(proxy, device) for device in ("", "wan0")]
        half_closed = fresh.pair(proxy, "wan0")
        half_closed.near.close()
        before, counted = filters(fresh), read_counters(fresh)
        digest = request.getfixturevalue("newer_program")
        assert digest not in before

        fresh.apply()

        after = filters(fresh)
        assert after.count(f"@{digest}") == before.count("netplan-tproxy/") == 2
        assert after.count("netplan-tproxy/") == 2
        assert not counted - read_counters(fresh), "counters start over"
        with counting(fresh) as added:
            for near, far in pairs:
                near.sendall(b"question")
                assert far.recv(8) == b"question"
                far.sendall(b"answer")
                assert near.recv(6) == b"answer"
        assert added["wan0", "intercepted"] >= 4
        assert added["wan0", "reply"] >= 2
        for pair in (*pairs, half_closed):
            pair.near.close()
            assert pair.far.recv(1) == b""
            pair.far.close()
        near, far = fresh.pair(proxy)
        near.close()
        far.close()
        assert wire.arrived("tcp") == []


def test_connecting_never_fails_while_programs_are_replaced(
    fresh: Applied, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    loop = support.connecting_until(stop)
    with support.listener(fresh) as proxy, Capture(fresh.lab.net, "isp0") as wire:
        with accepting(proxy) as accepted:
            child = fresh.lab.host.popen(["bash", "-c", loop], stdout=subprocess.PIPE)
            eventually(lambda: bool(accepted))
            request.getfixturevalue("newer_program")
            fresh.apply()
            replaced = time.monotonic()
            eventually(lambda: accepted[-1] > replaced)
            stop.touch()
            out, _ = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0
        assert len(accepted) == int(out) + 1
        assert accepted[0] < replaced < accepted[-1]
        assert wire.arrived("tcp") == []


def test_a_changed_site_file_redirects_new_connections_and_keeps_the_old(fresh: Applied) -> None:
    with support.listener(fresh) as proxy, support.listener(fresh, ("127.0.0.1", 9050)) as other:
        old = fresh.pair(proxy)
        text = fresh.site.read_text()
        fresh.site.write_text(text.replace("9040", "9050"))
        fresh.apply()
        new = fresh.pair(other)
        for near, far in (old, new):
            near.sendall(b"x")
            assert far.recv(1) == b"x"
            near.close()
            far.close()
        assert hears_nothing(proxy)
