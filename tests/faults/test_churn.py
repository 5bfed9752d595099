"""Lists that others change all the while they are read, on the real kernel."""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.handle import Netlink
from tests.lab import Lab, Namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

pytestmark = pytest.mark.lab

OURS = "rule add prio 1000 fwmark 0x1/0x1 lookup 100 proto 233"
MANY = 900  # rules of others: they take several datagrams
READS = 4


def batch(namespace: Namespace, lines: list[str], tool: str = "ip") -> None:
    namespace.run([tool, "-batch", "-"], stdin="\n".join(lines) + "\n", timeout=60)


@contextmanager
def churn(namespace: Namespace, lines: list[str]) -> Iterator[None]:
    """Type the lines, which must undo what they do, over and over; minutes at most."""
    loop = 'while :; do printf "%s\\n" "$1" | while read -r line; do ip $line; done; done'
    words = ["timeout", "500", "sh", "-c", loop, "sh", "\n".join(lines)]
    child = namespace.popen(words)
    try:
        yield
        assert child.poll() is None, "nothing changed while it was read"
    finally:
        child.terminate()
        child.wait(10)


def unless_unsteady(read: Callable[[], T]) -> T | None:
    """What was read, or None where that was given up."""
    try:
        return read()
    except KernelError as refusal:
        if "it changed while it was read" not in str(refusal):
            raise
        return None


def test_rules_that_change_while_they_are_read_hide_and_double_none_of_ours(lab: Lab) -> None:
    batch(
        lab.host,
        [OURS, *(f"rule add prio {2000 + n} fwmark {n + 2} lookup 7" for n in range(MANY))],
    )
    changing = [f"rule add prio {n} lookup 9" for n in range(1, 20)]
    changing += [line.replace(" add ", " del ") for line in changing]
    read = 0
    with lab.host.entered(), closing(Netlink()) as netlink, churn(lab.host, changing):
        for _ in range(READS):
            rules = unless_unsteady(lambda: netlink.rules(socket.AF_INET))
            if rules is None:
                continue
            read += 1
            assert len([rule for rule in rules if rule.priority == 1000]) == 1
            assert len(rules) == len(set(rules)) == MANY + 1
    assert read


def test_qdiscs_that_change_while_they_are_read_hide_none_of_ours(lab: Lab) -> None:
    pairs = range(30)
    batch(lab.host, [f"link add a{n} type veth peer name b{n}" for n in pairs])
    batch(lab.host, [f"qdisc add dev {end}{n} clsact" for n in pairs for end in "ab"], "tc")
    # The first ones go and come back at the end: the kernel counts how many it has told.
    changing = [
        line
        for n in range(5)
        for line in (f"link del a{n}", f"link add a{n} type veth peer name b{n}")
    ]
    with lab.host.entered(), closing(Netlink()) as netlink:
        steady = {netlink.links()[f"{end}{n}"].ifindex for n in pairs[5:] for end in "ab"}
        read = 0
        with churn(lab.host, changing):
            for _ in range(READS):
                qdiscs = unless_unsteady(netlink.ingress_qdiscs)
                if qdiscs is None:
                    continue
                read += 1
                assert steady <= qdiscs.keys()
    assert read
