from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from tests.datapath import support
from tests.datapath.support import FAR, Applied
from tests.lab import EchoServer
from tests.lab.streams import hears_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
both = pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])
INTERCEPT, BYPASS = 0x4200, 0x30000
COUNT = """
table ip marks {
  chain seen {
    type filter hook prerouting priority raw
    iif lo ip daddr 1.1.1.1 meta mark %#x counter
    iif lo ip daddr 1.1.1.1 counter
  }
}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    """Marks of several bits under masks that leave other bits alone."""
    with support.applied(tmp_path_factory.mktemp("site")) as made:
        made.write("marks: {intercept: 0x4200/0xff00, bypass: 0x30000/0xf0000}\n")
        made.apply()
        yield made


def carried(near: socket.socket, far: socket.socket) -> bool:
    with near, far:
        near.sendall(b"question")
        far.sendall(b"answer")
        return (far.recv(8), near.recv(6)) == (b"question", b"answer")


@both
@pytest.mark.parametrize("mark", [0, 0x10, 0x10000, 0x20000, 0x80000055])
def test_only_the_masked_bits_of_a_clients_mark_change(
    host: Applied, proxy: socket.socket, device: str, mark: int
) -> None:
    host.lab.host.run(["nft", "-f", "-"], stdin=COUNT % (mark | INTERCEPT))
    try:
        near = host.connect(device, mark=mark)
        far, _ = proxy.accept()
        assert carried(near, far)
        shown = host.lab.host.run(["nft", "list", "table", "ip", "marks"]).stdout
    finally:
        host.lab.host.run(["nft", "delete", "table", "ip", "marks"])
    expected, all_packets = map(int, re.findall(r"packets (\d+)", shown))
    assert expected == all_packets > 2


@both
@pytest.mark.parametrize("mark", [BYPASS, BYPASS | 0x80000055])
def test_the_bypass_mark_is_compared_under_its_mask(
    host: Applied, proxy: socket.socket, device: str, mark: int
) -> None:
    with EchoServer(host.lab.net) as server, host.connect(device, (FAR, 7), mark=mark) as near:
        near.sendall(b"direct")
        assert near.recv(6) == b"direct"
        assert server.peers == [near.getsockname()]
    assert hears_nothing(proxy)


@pytest.mark.parametrize("mark", [0x2, 0x70000, 0x10000])
def test_other_marks_do_not_bypass(host: Applied, proxy: socket.socket, mark: int) -> None:
    near = host.connect(mark=mark)
    far, _ = proxy.accept()
    assert carried(near, far)


def test_changed_marks_hold_for_the_next_connection_and_the_running_one_goes_on(
    fresh: Applied,
) -> None:
    with support.listener(fresh) as proxy:
        old = fresh.pair(proxy, "wan0")
        fresh.write("marks: {intercept: 0x100/0xff00, bypass: 0x200/0xff00}\n")
        fresh.apply()
        with EchoServer(fresh.lab.net), fresh.connect("", (FAR, 7), mark=0x200) as near:
            near.sendall(b"direct")
            assert near.recv(6) == b"direct"
        near = fresh.connect(mark=2)
        far, _ = proxy.accept()
        assert carried(near, far)
        assert carried(*old)
