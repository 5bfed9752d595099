"""Networks to the fewest prefixes, held against ``ipaddress``."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplan_tproxy.site.model import Prefix
from netplan_tproxy.site.sections.networks import parse_network, prefixes

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Net: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
# Few leading bits and few lengths, so that networks meet.
_V4 = st.builds(
    lambda bits, length: ipaddress.IPv4Network((bits << 24, length), strict=False),
    st.integers(0, 255),
    st.integers(0, 10),
)
_V6 = st.builds(
    lambda bits, shift, length: ipaddress.IPv6Network(
        (bits << shift & (1 << 128) - 1, length), strict=False
    ),
    st.integers(0, 0x1FFFF),
    st.sampled_from([28, 31, 32, 33, 112, 120]),
    st.integers(0, 100),
).filter(lambda network: not network.subnet_of(_MAPPED))
_ANY_V4 = st.builds(
    lambda number, length: ipaddress.IPv4Network((number, length), strict=False),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 32),
)
_ANY_V6 = st.builds(
    lambda number, length: ipaddress.IPv6Network((number, length), strict=False),
    st.integers(0, (1 << 128) - 1),
    st.integers(0, 128),
).filter(lambda network: not network.subnet_of(_MAPPED))


def _covers(found: tuple[Prefix, ...], address: _Address) -> bool:
    number = int(address) if address.version == 6 else int(_MAPPED[0]) + int(address)
    return any(
        (number ^ int.from_bytes(bits, "big")) >> (128 - length) == 0 for length, bits in found
    )


@given(st.lists(_V4, max_size=6))
def test_ipv4_is_collapsed_as_ipaddress_does_it(networks: list[ipaddress.IPv4Network]) -> None:
    expected = tuple(
        (96 + network.prefixlen, (int(_MAPPED[0]) + int(network[0])).to_bytes(16, "big"))
        for network in ipaddress.collapse_addresses(networks)
    )
    assert prefixes(parse_network(str(network)) for network in networks) == expected


@given(st.lists(_V6, max_size=6))
def test_ipv6_is_collapsed_as_ipaddress_does_it_without_ipv4(
    networks: list[ipaddress.IPv6Network],
) -> None:
    expected: list[ipaddress.IPv6Network] = []
    for network in ipaddress.collapse_addresses(networks):
        whole = _MAPPED.subnet_of(network)
        expected += network.address_exclude(_MAPPED) if whole else [network]
    assert prefixes(parse_network(str(network)) for network in networks) == tuple(
        (network.prefixlen, network[0].packed) for network in sorted(expected)
    )


@given(st.lists(_V4 | _V6, max_size=6), st.integers(0, (1 << 128) - 1))
def test_an_address_is_in_the_prefixes_if_it_is_in_a_network_of_its_family(
    networks: list[_Net], number: int
) -> None:
    found = prefixes(parse_network(str(network)) for network in networks)
    ends = [end for network in networks for end in (network[0], network[-1])]
    for address in (*ends, ipaddress.IPv4Address(number >> 96), ipaddress.IPv6Address(number)):
        if address in _MAPPED:
            continue
        assert _covers(found, address) == any(address in network for network in networks)


def test_all_of_ipv4_is_one_prefix() -> None:
    assert prefixes([parse_network("0.0.0.0/0")]) == ((96, _MAPPED[0].packed),)


def test_all_of_ipv6_is_everything_but_ipv4() -> None:
    found = prefixes([parse_network("::/0")])
    assert len(found) == 96
    assert sum(1 << 128 - length for length, _ in found) == (1 << 128) - (1 << 32)
    for address in ("::fffe:ffff:ffff", "::1:0:0:0", "::", "2001:db8::1"):
        assert _covers(found, ipaddress.IPv6Address(address))
    for address in ("::ffff:0:0", "::ffff:255.255.255.255", "::ffff:10.0.0.1"):
        assert not _covers(found, ipaddress.IPv6Address(address))


def test_both_wholes_together_are_everything() -> None:
    found = prefixes(map(parse_network, ["0.0.0.0/0", "::/0"]))
    assert sum(1 << 128 - length for length, _ in found) == 1 << 128
    assert found[16] == (96, _MAPPED[0].packed)


@given(st.text(alphabet="0123456789abcdef.:/%x -", max_size=20) | st.text(max_size=20))
def test_what_is_a_network_is_one_for_ipaddress(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert str(parse_network(text)) == str(ipaddress.ip_network(text))


@given(_ANY_V4 | _ANY_V6)
def test_a_network_is_written_as_ipaddress_writes_it(network: _Net) -> None:
    assert str(parse_network(str(network))) == str(network)


@given(_ANY_V4 | _ANY_V6, st.integers(1, (1 << 128) - 1))
def test_host_bits_are_named_and_what_is_said_to_be_right_is(network: _Net, bits: int) -> None:
    host = bits % network.num_addresses
    if not host:
        return
    with pytest.raises(ValueError, match="has host bits set, expected ") as caught:
        parse_network(f"{network[host]}/{network.prefixlen}")
    right = str(caught.value).partition("expected ")[2].split(" or ")
    assert right == [str(network), f"{network[host]}/{network.max_prefixlen}"]
    if network[host] not in _MAPPED:
        assert all(str(parse_network(one)) == one for one in right)
