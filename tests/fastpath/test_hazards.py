"""What an enrolled socket does otherwise than a plain one; docs/fastpath.md tells it."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.fastpath.support import Counted, receive
from tests.lab.patience import PATIENCE, comes_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.datapath import support

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

ROUNDS = 60
_TCP_ULP = 31


@pytest.fixture
def many(host: support.Applied, proxy: socket.socket) -> Iterator[support.Pair]:
    def pairs() -> Iterator[support.Pair]:
        for _ in range(ROUNDS):
            pair = host.pair(proxy)
            for end in pair:
                end.setblocking(True)  # noqa: FBT003
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
            with pair.near, pair.far:
                yield pair

    return pairs()


def answered_after_half_close(pair: support.Pair) -> tuple[bytes, int]:
    """Ask, shut the sending side, read to the end; the answer, and how often EAGAIN came."""

    def serve() -> None:
        while pair.far.recv(100):
            pass
        time.sleep(random.random() / 200)  # noqa: S311
        pair.far.sendall(b"answer" * 100)
        pair.far.shutdown(socket.SHUT_WR)

    server = threading.Thread(target=serve)
    pair.near.sendall(b"ask")
    pair.near.shutdown(socket.SHUT_WR)
    server.start()
    answer, again = b"", 0
    while again < 1000:
        try:
            part = pair.near.recv(1000)
        except BlockingIOError:
            again += 1
            continue
        if not part:
            break
        answer += part
    server.join(PATIENCE)
    return answer, again


def test_a_blocking_read_after_a_half_close_waits_for_its_answer(
    host: support.Applied, many: Iterator[support.Pair]
) -> None:
    counted = Counted(host)
    results = [answered_after_half_close(pair) for pair in many]
    assert results == [(b"answer" * 100, 0)] * ROUNDS
    assert counted()["left_half_closed"] == ROUNDS


def test_after_an_answer_a_half_close_may_end_a_blocking_read_with_eagain(
    host: support.Applied, many: Iterator[support.Pair]
) -> None:
    counted = Counted(host)
    total = 0
    for pair in many:
        pair.near.sendall(b"?")
        assert pair.far.recv(1) == b"?"
        pair.far.sendall(b"!")
        assert pair.near.recv(1) == b"!"
        answer, again = answered_after_half_close(pair)
        assert answer == b"answer" * 100  # whoever tries again gets it all
        assert again < 10
        total += again
    assert counted()["left_half_closed"] == 0
    assert total > 0  # should this fail one day, the kernel has learned it: say so in the page


def echo(end: socket.socket) -> None:
    while True:
        try:
            part = end.recv(65536)
        except BlockingIOError:
            continue
        if not part:
            return
        end.sendall(part)


def write(end: socket.socket, size: int) -> None:
    for at in range(0, size, 20_000):
        end.sendall(bytes([at // 20_000 % 251]) * 20_000)


def test_a_reader_and_a_writer_on_one_socket_get_every_byte_if_they_try_again(
    ends: support.Pair,
) -> None:
    size = 4_000_000
    threads = [
        threading.Thread(target=echo, args=(ends.far,)),
        threading.Thread(target=write, args=(ends.near, size)),
    ]
    for thread in threads:
        thread.start()
    got = bytearray()
    while len(got) < size:
        try:
            got += ends.near.recv(65536)
        except BlockingIOError:
            continue
    ends.near.shutdown(socket.SHUT_WR)
    for thread in threads:
        thread.join(PATIENCE)
    assert all(got[at] == at // 20_000 % 251 for at in range(0, size, 997))


def test_peek_shows_and_leaves_what_waits(ends: support.Pair) -> None:
    ends.near.sendall(b"hello")
    assert ends.far.recv(3, socket.MSG_PEEK) == b"hel"
    assert ends.far.recv(10) == b"hello"


def test_waitall_may_come_back_with_less(ends: support.Pair) -> None:
    ends.near.sendall(b"12345")
    assert ends.far.recv(10, socket.MSG_WAITALL) == b"12345"


def test_rcvlowat_is_not_waited_for(ends: support.Pair) -> None:
    ends.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
    ends.near.sendall(b"12345")
    assert select.select([ends.far], [], [], 2)[0]
    assert ends.far.recv(10) == b"12345"


def test_poll_and_edge_triggered_epoll_tell_of_every_message(ends: support.Pair) -> None:
    with select.epoll() as poll:
        poll.register(ends.far, select.EPOLLIN | select.EPOLLET)
        poll.poll(0.05)
        for _ in range(5):
            ends.near.sendall(b"x")
            assert [number for number, _ in poll.poll(2)] == [ends.far.fileno()]
        assert receive(ends.far, 5) == b"x" * 5
        ends.near.sendall(b"y")
        assert poll.poll(2)
    waiting = select.poll()
    waiting.register(ends.far, select.POLLIN)
    assert waiting.poll(2000)
    assert ends.far.recv(1) == b"y"
    assert not waiting.poll(20)


def test_splice_does_not_see_what_waits(ends: support.Pair) -> None:
    reading, writing = os.pipe()
    try:
        ends.near.sendall(b"x" * 1000)
        assert select.select([ends.far], [], [], 2)[0]
        with pytest.raises(BlockingIOError):
            os.splice(ends.far.fileno(), writing, 1000, flags=os.SPLICE_F_NONBLOCK)
        assert receive(ends.far, 1000) == b"x" * 1000
    finally:
        os.close(reading)
        os.close(writing)


def test_splice_and_sendfile_into_a_socket_are_redirected(ends: support.Pair) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"z" * 1000)
        assert os.splice(reading, ends.near.fileno(), 1000) == 1000
        assert receive(ends.far, 1000) == b"z" * 1000
    finally:
        os.close(reading)
        os.close(writing)
    with open(__file__, "rb") as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        assert os.sendfile(ends.near.fileno(), file.fileno(), 0, size) == size
        assert receive(ends.far, size) == file.read()


def test_urgent_data_is_not_urgent(ends: support.Pair) -> None:
    ends.near.send(b"a")
    ends.near.send(b"!", socket.MSG_OOB)
    ends.near.send(b"b")
    assert receive(ends.far, 3) == b"a!b"


def test_ktls_can_not_be_put_on(ends: support.Pair) -> None:
    with pytest.raises(OSError, match=r"No such file|Invalid|busy|not supported"):
        ends.near.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")


def test_a_reset_takes_along_what_was_not_read_yet(ends: support.Pair) -> None:
    ends.near.sendall(b"x" * 1000)
    ends.near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.near.close()

    def reset() -> bool:
        return ends.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    assert comes_true(reset)
