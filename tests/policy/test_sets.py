"""The sets as such: what they hold, how they are cut into prefixes, how large they may be."""

from __future__ import annotations

import ipaddress
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplan_tproxy.datapath.policy import make_set, port_prefixes
from netplan_tproxy.datapath.sets import filled_set
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.site.model import Policy, Prefix
from tests.lab.effort import effort
from tests.policy.probes import Probe
from tests.policy.support import PolicyHost, networks

ports = st.integers(0, 65535)
v4 = st.builds(
    lambda address, length: ipaddress.ip_network((address, length), strict=False),
    st.integers(0, 2**32 - 1), st.integers(0, 32),
)  # fmt: skip
v6 = st.builds(
    lambda address, length: ipaddress.ip_network((address.to_bytes(16), length), strict=False),
    st.integers(0, 2**128 - 1), st.integers(0, 128),
)  # fmt: skip


def covered(prefixes: list[Prefix], port: int) -> int:
    """How many of the prefixes a port is in."""
    return sum(
        port >> (16 - length) == int.from_bytes(start) >> (16 - length)
        for length, start in prefixes
    )


@given(ports, ports, st.lists(ports, max_size=20))
def test_prefixes_cover_a_range_of_ports_once_and_nothing_else(
    one: int, other: int, probes: list[int]
) -> None:
    low, high = sorted((one, other))
    prefixes = port_prefixes(low, high)
    edges = [port for port in (low - 1, low, high, high + 1) if 0 <= port <= 65535]
    for port in (*edges, *probes):
        assert covered(prefixes, port) == (low <= port <= high)
    assert sum(1 << (16 - length) for length, _ in prefixes) == high - low + 1


@given(ports, ports)
def test_no_range_of_ports_takes_more_than_thirty_prefixes(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert len(port_prefixes(low, high)) <= 30
    assert port_prefixes(0, 65535) == [(0, bytes(2))]


@given(st.lists(v4 | v6, max_size=20), st.randoms())
def test_a_set_is_named_by_what_it_holds_in_whatever_order(
    content: list[ipaddress.IPv4Network | ipaddress.IPv6Network], shuffle: random.Random
) -> None:
    prefixes = list(networks(*map(str, content)))
    made = make_set("a", prefixes)
    shuffle.shuffle(prefixes)
    assert make_set("b", prefixes).id == made.id
    assert 0 < made.id < 2**64
    assert make_set("c", [*prefixes, (16, b"\x12\x34")]).id != made.id


def kernel_set(prefixes: tuple[Prefix, ...]) -> Fd:
    """A set as the programs look it up."""
    return filled_set(make_set("x", prefixes).prefixes)


def holds(fd: Fd, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    ((_, bits),) = networks(str(address))
    return bpf_maps.lookup(fd, struct.pack("=I", 128) + bits, 1) is not None


def near_edges(
    content: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The first and last address of each network, and their neighbours outside."""
    found = []
    for network in content:
        first, last = int(network.network_address), int(network.broadcast_address)
        kind = type(network.network_address)
        top = (1 << network.max_prefixlen) - 1
        found += [kind(n) for n in (first - 1, first, last, last + 1) if 0 <= n <= top]
    return found


@pytest.mark.bpf
@given(st.lists(v4 | v6, max_size=20), st.lists(st.ip_addresses(), max_size=20))
def test_the_kernel_finds_an_address_where_python_finds_it(
    content: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    probes: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    with kernel_set(networks(*map(str, content))) as fd:
        for address in (*near_edges(content), *probes):
            assert holds(fd, address) == any(_mapped(address) in _mapped6(net) for net in content)


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    """IPv4 in IPv6, as the sets have it."""
    return ipaddress.IPv6Address(f"::ffff:{address}") if address.version == 4 else address


def _mapped6(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv6Network:
    length = network.prefixlen + 128 - network.max_prefixlen
    return ipaddress.IPv6Network((_mapped(network.network_address), length))


@pytest.mark.lab
@pytest.mark.bpf
@pytest.mark.slow
def test_a_hundred_thousand_networks_are_applied_and_found(host: PolicyHost) -> None:
    chosen = random.Random(1)  # noqa: S311 - a test's choice, the same each time
    lengths = {(24, chosen.randrange(1 << 24)) for _ in range(60_000)}
    lengths |= {(32, chosen.randrange(1 << 32)) for _ in range(40_500)}
    assert len(lengths) > 100_000
    networks_file = host.site.parent / "networks.txt"
    networks_file.write_text(
        "".join(f"{ipaddress.IPv4Address(n << (32 - size))}/{size}\n" for size, n in lengths)
    )
    applying = effort(lambda: host.applied(Policy(), to_file=networks_file.name))
    assert applying < 10
    assert host.applied(Policy(), to_file=networks_file.name) == ["no changes"]
    (pin,) = (host.pins / "sets").glob("*")
    inside = [number << (32 - length) for length, number in chosen.sample(sorted(lengths), 1000)]
    with bpf_maps.open_pinned(str(pin)) as fd:
        for number in (*inside, *(chosen.randrange(1 << 32) for _ in range(1000))):
            wanted = (32, number) in lengths or (24, number >> 8) in lengths
            assert holds(fd, ipaddress.IPv4Address(number)) == wanted
    for number in range(20 << 24, (20 << 24) + 40 * 256, 256):
        found = host.outcome(Probe(to=str(ipaddress.IPv4Address(number))))
        assert (found == "bypass_to") == ((24, number >> 8) in lengths or (32, number) in lengths)
