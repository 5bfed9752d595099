"""Why sockets are enrolled when they are established, and not from their second message on.

Kernel facts: where one of these tests fails, "Short connections" in docs/fastpath.md is to be
thought over again.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from netplan_tproxy.datapath import fastpath, fionread
from netplan_tproxy.datapath.attach import sockmap
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.layout import SOCKHASH, MapSpec
from tests.fastpath.support import receive
from tests.lab.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netplan_tproxy.kernel.bpf.libbpf import Fd

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
FIRST, SECOND = b"first ", b"second"


class Late(NamedTuple):
    """A plain connection, and the map that a program redirects to its reader by."""

    sender: socket.socket
    reader: socket.socket
    sockets: Fd

    def enroll(self) -> None:
        for key, end in enumerate((self.reader, self.sender)):
            bpf_maps.update(self.sockets, struct.pack("=I", key), struct.pack("=I", end.fileno()))


@pytest.fixture
def late() -> Iterator[Late]:
    kind = fastpath.TYPES[fastpath.MSG]
    with ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        sender = held.enter_context(socket.create_connection(listener.getsockname(), PATIENCE))
        reader = held.enter_context(listener.accept()[0])
        sockets = held.enter_context(bpf_maps.create_map(MapSpec("late", SOCKHASH, 4, 4, 2)))
        program = held.enter_context(
            bpf_programs.load_program(
                name="late",
                prog_type=kind.program,
                expected_attach_type=kind.attach,
                insns=fionread.REDIRECT,
                license="GPL",
                relocs=((1, "late"),),
                maps={"late": int(sockets)},
            )
        )
        sockmap.put(sockets, int(program))
        yield Late(sender, reader, sockets)


def test_who_blocks_in_recv_meanwhile_never_hears_of_what_is_redirected(late: Late) -> None:
    sent, outcome = threading.Event(), []
    late.reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))

    def read() -> None:
        try:
            outcome.append(late.reader.recv(100))
        except BlockingIOError:  # it gave up
            outcome.append(b"in time" if not sent.is_set() else b"")

    thread = threading.Thread(target=read)
    thread.start()
    status = Path(f"/proc/self/task/{thread.native_id}/stat")
    eventually(lambda: " S " in status.read_text())
    late.enroll()
    late.sender.sendall(FIRST)
    sent.set()
    thread.join(PATIENCE)
    assert outcome == [b""]
    assert late.reader.recv(100) == FIRST  # who asks anew gets it


def test_what_nobody_had_read_comes_after_what_is_redirected(late: Late) -> None:
    late.sender.sendall(FIRST)
    eventually(lambda: late.reader.recv(100, socket.MSG_PEEK) == FIRST)
    late.enroll()
    late.sender.sendall(SECOND)
    assert receive(late.reader, len(FIRST + SECOND)) == SECOND + FIRST
