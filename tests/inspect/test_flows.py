"""Counting intercepted connections: the kernel chooses, and few are looked at one by one."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath import flows
from netplan_tproxy.kernel.netlink.route_get import Way
from netplan_tproxy.kernel.sockets import diag, established
from netplan_tproxy.output import status as text
from netplan_tproxy.output.style import PLAIN
from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab]

NETWORKS = [
    "127.0.0.0/8", "127.0.0.1", "127.0.0.2", "127.0.0.4/30", "127.3.0.0/16", "0.0.0.0/0",
    "10.0.0.0/8", "::1", "::/0", "::/127", "fe80::/10", "::ffff:0:0/96",
]  # fmt: skip


@pytest.fixture(scope="module")
def connected() -> Iterator[Lab]:
    """A host with connections between addresses of both families, IPv4 on IPv6 sockets too."""
    with Lab(ipv6=True) as lab, contextlib.ExitStack() as stack:
        for number in range(1, 9):
            connect(lab, stack, f"127.0.0.{number}")
            connect(lab, stack, f"127.3.0.{number}")
        connect(lab, stack, "::1", socket.AF_INET6)
        connect(lab, stack, "::ffff:127.0.0.5", socket.AF_INET6)
        yield lab


def connect(
    lab: Lab, stack: contextlib.ExitStack, address: str, family: int = socket.AF_INET
) -> None:
    server, client = lab.host.socket(family), lab.host.socket(family)
    with server:
        server.bind((address, 0))
        server.listen()
        client.connect(server.getsockname())
        stack.enter_context(client)
        stack.enter_context(server.accept()[0])


@given(st.lists(st.sampled_from(NETWORKS), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_kernel_leaves_out_what_is_in_the_networks(connected: Lab, names: list[str]) -> None:
    networks = [ipaddress.ip_network(name) for name in names]
    with connected.host.entered():
        remaining = established.established(networks)
        everyone = [
            one
            for family in (socket.AF_INET, socket.AF_INET6)
            for one in diag.sockets("tcp", family, diag.ESTABLISHED)
        ]
    expected = [one for one in everyone if not is_in(one, networks)]
    counted = {str(ipaddress.ip_address(packed)): n for packed, n in remaining.by_address.items()}
    assert counted == {
        one.local: sum(one.local == other.local for other in expected) for one in expected
    }
    listed = remaining.first(len(everyone), lambda _: True)
    assert {one.inode for one in listed} == {one.inode for one in expected}


def is_in(one: diag.Socket, networks: list[established.Network]) -> bool:
    """As the kernel compares: IPv4 on an IPv6 socket is in networks of both families."""
    address = ipaddress.ip_address(one.local)
    mapped = getattr(address, "ipv4_mapped", None)
    return any(each in network for network in networks for each in (address, mapped) if each)


def test_an_address_of_a_network_that_is_local_as_a_whole_is_not_intercepted() -> None:
    with Lab() as lab, contextlib.ExitStack() as stack:
        lab.host.run(["ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo"])
        connect(lab, stack, "198.51.100.7")
        connect(lab, stack, "10.77.0.2")
        with lab.host.entered():
            assert flows.intercepted_connections(20) == flows.Intercepted(0, ())


def test_of_many_connections_few_are_looked_at(
    connected: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    parsed = diag.parsed

    def counted(protocol: str, payload: bytes) -> diag.Socket:
        looked.append(payload)
        return parsed(protocol, payload)

    monkeypatch.setattr(diag, "parsed", counted)
    # As though none of these addresses were of this host.
    monkeypatch.setattr(flows, "_LOOPBACK", ())
    monkeypatch.setattr(flows, "own_addresses", list)
    monkeypatch.setattr(flows, "way_to", lambda _: Way("unicast"))
    with connected.host.entered():
        seen = flows.intercepted_connections(3)
    assert seen.count > 30
    assert len(seen.listed) == 3
    assert len(looked) == 3


def test_a_count_from_a_sample_says_so(connected: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "_LOOPBACK", ())
    monkeypatch.setattr(flows, "own_addresses", list)
    monkeypatch.setattr(flows, "way_to", lambda _: Way("unicast"))
    with connected.host.entered():
        whole = flows.intercepted_connections(0)
        monkeypatch.setattr(flows, "_MOST_ASKED", 2)
        sample = flows.intercepted_connections(0)
    assert (whole.sampled, sample.sampled) == (False, True)
    assert sample.count == whole.count
    shown = {"tcp": sample.count, "udp_remembered": 0, "sampled": True, "listed": []}
    lines = list(text.flow_lines(shown, PLAIN, verbose=False))
    assert lines[1] == f"  about {whole.count} connections, 0 UDP flows remembered"


def test_of_very_many_sockets_a_sample_stands_for_all(
    connected: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [ipaddress.ip_network(name) for name in ("127.0.0.1", "127.0.0.2", "127.3.0.0/16")]
    monkeypatch.setattr(flows, "_LOOPBACK", ())
    monkeypatch.setattr(flows, "own_addresses", lambda: own)
    monkeypatch.setattr(flows, "way_to", lambda _: Way("unicast"))
    with connected.host.entered():
        whole = flows.intercepted_connections(100)
        in_use = established.sockets_in_use()
        monkeypatch.setattr(flows, "_MOST_READ", 10)
        all_of_them = flows.intercepted_connections(100)
        # Twice as many as are read: each stands for two.
        twice = {family: 2 * number for family, number in in_use.items()}
        monkeypatch.setattr(flows, "sockets_in_use", lambda: twice)
        half_of_them = flows.intercepted_connections(100)
    assert sum(in_use.values()) >= 2 * 18
    assert (whole.sampled, all_of_them.sampled) == (False, True)
    assert all_of_them.count == whole.count > 0
    assert half_of_them.count == 2 * whole.count
    assert set(all_of_them.listed) == set(whole.listed)
