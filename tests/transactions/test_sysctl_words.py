"""A setting that is of numbers gets numbers: whatever else is refused before anything is done."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.reconcile.preflight import require_facts
from netplan_tproxy.site.load import parse
from tests.lab import Lab, Namespace, diff_snapshots
from tests.lab.host import SITE, Host
from tests.transactions.settings import tree, written

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Lab() as lab:
        yield lab.host


def refused(path: str, value: str, now: str) -> bool:
    try:
        site = parse(f"{SITE}sysctls:\n  {path}: '{value}'\n", "site.yaml")
        require_facts(site, Facts({"wan0": Link("wan0", 1, 1)}, sysctls={path: now}))
    except TproxyError:
        return True
    return False


def test_no_setting_that_is_refused_for_its_words_would_take_them(namespace: Namespace) -> None:
    with namespace.entered():
        before = {path: value for path, value in tree().items() if value and value.isprintable()}
        asked = [path for path in before if not re.search("/(?:conf|neigh)/", path)]
        for path in asked:
            now = before[path]
            for value in ("banana", f"{now} 1"):
                if refused(path, value, now) and written(path, value):
                    # What is cut off would be missed when it is read again.
                    assert " ".join(tree()[path].split()) != value, path
                    assert written(path, now)
    numbers = [path for path in asked if before[path].lstrip("-").isdigit()]
    assert sum(refused(path, "banana", before[path]) for path in numbers) > len(numbers) * 0.8


def test_a_list_of_ports_may_look_like_a_number() -> None:
    path = "net/ipv4/ip_local_reserved_ports"
    assert not refused(path, "8080-8090", "8080")


def test_a_word_for_a_number_is_refused_with_its_line(host: Host) -> None:
    before = host.look()
    host.write(f"{SITE}sysctls:\n  net.ipv4.tcp_syncookies: banana\n  net/ipv4/tcp_rmem: 1 2\n")
    done = host.apply()
    memory = " ".join(host.namespace.sysctl("net.ipv4.tcp_rmem").split())
    assert done.code == 1
    one = (
        "sysctls.net.ipv4.tcp_syncookies: 'banana' is not a whole number, as the '1' that is there"
    )
    two = (
        f"sysctls.net.ipv4.tcp_rmem: '1 2' is not 3 whole numbers, as the '{memory}' that is there"
    )
    assert done.err.splitlines() == [
        f"tproxy-apply: {host.site}:6:3: {one}; nothing was touched",
        f"tproxy-apply: {host.site}:7:3: {two}; nothing was touched",
    ]
    assert diff_snapshots(before, host.look()) == []
