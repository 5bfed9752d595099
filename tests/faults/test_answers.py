"""What the kernel may answer on rtnetlink besides what was hoped for."""

from __future__ import annotations

import errno
import itertools
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink import channel
from netplan_tproxy.kernel.netlink.answer import HEADER
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.pyroute import encoded
from netplan_tproxy.kernel.netlink.rules import RuleRecord
from netplan_tproxy.system.closing import Closing

MULTI, INTERRUPTED, CAPPED, TEXTS = 0x2, 0x10, 0x100, 0x200
ERROR, DONE, NEWRULE, NEWQDISC = 2, 3, 32, 36
RULE = RuleRecord(socket.AF_INET, 1000, 1, 1, 100, 233)

Datagram = Callable[[int], bytes] | OSError
"""A datagram, given the number of the request; or what reading it raises."""


class FakeSocket:
    """Answers each request with the next of its lists of datagrams."""

    def __init__(self, answers: Iterator[Sequence[Datagram]]) -> None:
        self._answers = answers
        self._waiting: list[Datagram] = []
        self._number = 0
        self.closed = False

    def sendto(self, data: bytes, _address: tuple[int, int]) -> int:
        self._number = HEADER.unpack_from(data)[3]
        self._waiting = list(next(self._answers))
        return len(data)

    def recvmsg(self, _size: int) -> tuple[bytes, list[Any], int, None]:
        following = self._waiting.pop(0)
        if isinstance(following, OSError):
            raise following
        return following(self._number), [], 0, None

    def close(self) -> None:
        self.closed = True


def watching(*changed: bool) -> type[Closing]:
    """Stand for a watch that is told of a change in the readings that say so, then of none."""
    following = iter(changed)

    class Watch(Closing):
        def __init__(self, _kind: int) -> None:
            pass

        def close(self) -> None:
            pass

        def changed(self) -> bool:
            return next(following, False)

    return Watch


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[FakeSocket]]:
    """Let the kernel answer each request with the next of these; gives the sockets opened."""

    def answering(*answers: Sequence[Datagram]) -> list[FakeSocket]:
        following = iter(answers)
        sockets: list[FakeSocket] = []

        def open_one() -> FakeSocket:
            sockets.append(FakeSocket(following))
            return sockets[-1]

        monkeypatch.setattr(channel, "_open", open_one)
        monkeypatch.setattr("netplan_tproxy.kernel.netlink.socket.Watch", watching())
        monkeypatch.setattr("time.sleep", lambda _: None)
        return sockets

    return answering


def message(kind: int, body: bytes, flags: int = MULTI) -> Callable[[int], bytes]:
    def datagram(number: int) -> bytes:
        return HEADER.pack(HEADER.size + len(body), kind, flags, number, 0) + body

    return datagram


def rule(record: RuleRecord, flags: int = MULTI) -> Callable[[int], bytes]:
    attributes = [
        ("FRA_PRIORITY", record.priority), ("FRA_FWMARK", record.mark),
        ("FRA_FWMASK", record.mask), ("FRA_TABLE", record.table),
        ("FRA_PROTOCOL", record.protocol),
    ]  # fmt: skip
    return message(NEWRULE, encoded("fibmsg", attributes, family=record.family, action=1), flags)


def qdisc(ifindex: int) -> Callable[[int], bytes]:
    attributes = [("TCA_KIND", "clsact")]
    return message(NEWQDISC, encoded("tcmsg", attributes, index=ifindex, parent=0xFFFFFFF1))


def done(flags: int = MULTI) -> Callable[[int], bytes]:
    return message(DONE, bytes(4), flags)


def joined(*parts: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda number: b"".join(part(number) for part in parts)


@pytest.mark.parametrize("place", range(3))
def test_a_list_that_changed_while_it_was_read_is_read_again(
    opened: Callable[..., list[FakeSocket]], place: int
) -> None:
    flags = [MULTI | (INTERRUPTED if place == at else 0) for at in range(3)]
    broken = [rule(RULE, flags[0]), rule(RULE, flags[1]), done(flags[2])]
    opened(broken, broken, [joined(rule(RULE), done())])
    assert Netlink().rules(socket.AF_INET) == [RULE]


def test_a_list_that_never_holds_still_is_no_list(
    opened: Callable[..., list[FakeSocket]],
) -> None:
    opened(*itertools.repeat([rule(RULE), done(MULTI | INTERRUPTED)], 100))
    with pytest.raises(KernelError) as refusal:
        Netlink().rules(socket.AF_INET)
    assert str(refusal.value) == "read rules: it changed while it was read, 60 times in a row"


def test_a_list_in_parts_that_the_kernel_does_not_mark_is_read_until_two_readings_agree(
    opened: Callable[..., list[FakeSocket]],
) -> None:
    whole = [joined(qdisc(1), qdisc(2)), joined(qdisc(3), done())]
    # One went before the second part, which begins one too late then.
    without = [joined(qdisc(1), qdisc(2)), joined(qdisc(4), done())]
    opened(without, whole, without, whole, whole)
    assert list(Netlink().ingress_qdiscs()) == [1, 2, 3]


def test_readings_that_agree_do_not_count_while_a_change_is_told(
    opened: Callable[..., list[FakeSocket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [joined(qdisc(1), qdisc(2)), joined(qdisc(3), done())]
    # One came before the second part, each time: that begins with what was told already.
    doubled = [joined(qdisc(1), qdisc(2)), joined(qdisc(2), qdisc(3), done())]
    opened(doubled, doubled, whole, doubled, whole)
    quiet = watching(True, False, True, False)  # noqa: FBT003 - four readings
    monkeypatch.setattr("netplan_tproxy.kernel.netlink.socket.Watch", quiet)
    assert list(Netlink().ingress_qdiscs()) == [1, 2, 3]


def test_a_list_in_one_part_is_read_once(opened: Callable[..., list[FakeSocket]]) -> None:
    opened([joined(qdisc(1), qdisc(2)), done()])
    assert list(Netlink().ingress_qdiscs()) == [1, 2]


def test_a_list_that_came_too_fast_is_read_again_on_another_socket(
    opened: Callable[..., list[FakeSocket]],
) -> None:
    lost = OSError(errno.ENOBUFS, "No buffer space available")
    sockets = opened([rule(RULE), lost], [rule(RULE), done()])
    assert Netlink().rules(socket.AF_INET) == [RULE]
    assert [one.closed for one in sockets] == [True, False]


def test_answers_that_are_always_lost_are_given_up(
    opened: Callable[..., list[FakeSocket]],
) -> None:
    lost = OSError(errno.ENOBUFS, "No buffer space available")
    opened(*itertools.repeat([lost], 100))
    with pytest.raises(KernelError) as refusal:
        Netlink().rules(socket.AF_INET)
    assert refusal.value.errno == errno.ENOBUFS
    assert str(refusal.value) == "read rules: No buffer space available"


@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.ENOMEM, errno.EIO])
def test_a_change_whose_answer_is_lost_is_told_and_the_next_request_meets_no_trace_of_it(
    opened: Callable[..., list[FakeSocket]], code: int
) -> None:
    accepted = message(ERROR, bytes(20), 0)
    sockets = opened([OSError(code, "lost")], [accepted], [rule(RULE), done()])
    netlink = Netlink()
    with pytest.raises(KernelError) as refusal:
        netlink.add_rule(RULE)
    assert refusal.value.errno == code
    netlink.del_rule(RULE)
    assert netlink.rules(socket.AF_INET) == [RULE]
    assert [one.closed for one in sockets] == [True, False]
    netlink.close()
    netlink.close()


def test_what_belongs_to_another_request_is_no_answer(
    opened: Callable[..., list[FakeSocket]],
) -> None:
    stranger = RuleRecord(socket.AF_INET, 7, 7, 7, 7, 7)
    opened([lambda number: rule(stranger)(number - 1), joined(rule(RULE), done())])
    assert Netlink().rules(socket.AF_INET) == [RULE]


def nonsense() -> dict[str, Datagram]:
    header = HEADER.pack(999, NEWRULE, MULTI, 1, 0)
    return {
        "longer than it is": lambda _: header,
        "shorter than its header": lambda number: HEADER.pack(3, NEWRULE, MULTI, number, 0),
    }


@pytest.mark.parametrize("name", nonsense())
def test_an_answer_that_makes_no_sense_is_an_error_and_no_list(
    opened: Callable[..., list[FakeSocket]], name: str
) -> None:
    opened([nonsense()[name], done()])
    with pytest.raises(KernelError, match=r"^read rules: "):
        Netlink().rules(socket.AF_INET)


def refusal_of(code: int, flags: int, tail: bytes) -> Callable[[int], bytes]:
    body = struct.pack("=i", -code) + HEADER.pack(HEADER.size + 8, NEWRULE, 0, 1, 0) + tail
    return message(ERROR, body, flags)


def test_the_words_of_the_kernel_are_told_wherever_they_stand(
    opened: Callable[..., list[FakeSocket]],
) -> None:
    text = b"Out of cheese\0"
    words = struct.pack("=HH", 4 + len(text), 1) + text + b"\0\0"
    opened(
        [refusal_of(errno.EPERM, TEXTS | CAPPED, words)],
        [refusal_of(errno.EPERM, TEXTS, bytes(8) + words)],
        [refusal_of(errno.EPERM, 0, bytes(8))],
    )
    netlink = Netlink()
    for expected in ("Out of cheese", "Out of cheese", "Operation not permitted"):
        with pytest.raises(KernelError) as refusal:
            netlink.add_rule(RULE)
        assert str(refusal.value) == f"add rule 1000: {expected} (EPERM)"
