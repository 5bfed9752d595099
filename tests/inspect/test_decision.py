"""The decision as ``--explain`` has it, against the model of the programs' rules."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath.layouts import ConfigValue, SetIds
from netplan_tproxy.datapath.policy import port_prefixes
from netplan_tproxy.inspect.decision import Flow as Asked
from netplan_tproxy.inspect.decision import UnknownSourceError, decide
from netplan_tproxy.site.model import LISTENERS, Listener, Mark
from netplan_tproxy.site.sections.networks import parse_network, prefixes
from tests.lab.budget import examples
from tests.packet_model.settings import SETTINGS, Setting
from tests.packet_model.wire import TCP, UDP, Flow

if TYPE_CHECKING:
    from netplan_tproxy.datapath.policy import Prefix

# Ends of the networks that the settings name, and of those that are never intercepted.
EDGES_4 = (
    "0.0.0.0", "0.255.255.255", "1.1.1.1", "8.0.64.1", "10.79.0.128", "10.79.0.127", "126.0.0.1",
    "127.0.0.1", "128.0.0.0", "169.254.1.1", "192.0.2.7", "223.255.255.255", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "64.0.0.0", "95.255.255.255", "96.0.0.0",
)  # fmt: skip
EDGES_6 = (
    "::", "::1", "::ffff:1.1.1.1", "::1:0:0:0", "2000::", "2606:4700::1111", "2606:4701::1",
    "3fff:ffff::", "4000::", "fd00::1", "fd79::8000:0:0:1", "fd80::1", "fe80::1", "febf::1",
    "fec0::1", "ff02::1",
)  # fmt: skip
PORTS = (1, 52, 53, 79, 80, 443, 1023, 1024, 4999, 5000, 5999, 33333, 40000, 40001, 65535)
MARKS = (0, 2, 0x20, 0x500, 0x1000, 0xF00, 0x80000000, 0xFFFFFFFF)


class Sets:
    """The sets of a setting by number, asked as the kernel's tries are."""

    def __init__(self) -> None:
        self._sets: dict[int, list[Prefix]] = {}

    def add(self, found: list[Prefix] | None) -> int:
        if found is None:
            return 0
        self._sets[len(self._sets) + 1] = found
        return len(self._sets)

    def networks(self, texts: tuple[str, ...] | None) -> int:
        if texts is None:
            return 0
        return self.add(list(prefixes(parse_network(text) for text in texts)))

    def ports(self, ranges: tuple[tuple[int, int], ...] | None) -> int:
        if ranges is None:
            return 0
        return self.add([one for low, high in ranges for one in port_prefixes(low, high)])

    def matched(self, number: int, length: int, bits: bytes) -> int | None:
        what = int.from_bytes(bits, "big")
        hits = [
            size
            for size, start in self._sets[number]
            if size <= length
            and what >> 128 - size == int.from_bytes(start.ljust(16, b"\0"), "big") >> 128 - size
        ]
        return min(hits, default=None)


def config_of(setting: Setting, sets: Sets) -> ConfigValue:
    only, spared = setting.intercept, setting.bypass
    names = {"tcp": (TCP, False), "tcp6": (TCP, True), "udp": (UDP, False), "udp6": (UDP, True)}
    ids = SetIds(
        sets.networks(only.from_), sets.networks(only.to), sets.ports(only.ports),
        sets.networks(spared.from_), sets.networks(spared.to), sets.ports(spared.ports),
        sets.add([(32, bytes(4))] if setting.root_bypassed else None),
    )  # fmt: skip
    return ConfigValue(
        ids,
        Mark(*setting.intercept_mark),
        tuple(Mark(*mark) for mark in setting.bypass_marks),
        tuple(
            Listener("::1" if names[name][1] else "127.0.0.1", 9040)
            if names[name] in setting.proxied
            else None
            for name in LISTENERS
        ),
        1,
    )


def addresses(*, v6: bool) -> st.SearchStrategy[str]:
    edges = EDGES_6 if v6 else EDGES_4
    number = st.integers(0, (1 << (128 if v6 else 32)) - 1)
    made = ipaddress.IPv6Address if v6 else ipaddress.IPv4Address
    return st.sampled_from(edges) | number.map(lambda value: str(made(value)))


flows = st.booleans().flatmap(
    lambda v6: st.builds(
        Asked,
        protocol=st.sampled_from(("tcp", "udp")),
        source=addresses(v6=v6),
        target=addresses(v6=v6),
        port=st.sampled_from(PORTS) | st.integers(0, 65535),
        local=st.booleans(),
        mark=st.sampled_from(MARKS),
        broadcast=st.booleans(),
    )
)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_any_flow_is_decided_as_the_model_of_the_programs_decides_it(setting: Setting) -> None:
    sets = Sets()
    config = config_of(setting, sets)

    @settings(max_examples=examples(250))
    @given(flows)
    def check(asked: Asked) -> None:
        assert asked.source is not None
        source, target = (int(ipaddress.ip_address(end)) for end in (asked.source, asked.target))
        protocol = TCP if asked.protocol == "tcp" else UDP
        flow = Flow(asked.v6, protocol, source, target, 0, asked.port)
        to_all = asked.broadcast and asked.local
        expected = setting.decide(flow, asked.mark, local=asked.local, to_all=to_all)
        *before, last = decide(config, asked, sets.matched)
        assert last.outcome == expected
        assert not any(step.outcome for step in before)

    check()


def test_a_source_that_is_not_known_is_asked_for_only_where_it_decides() -> None:
    unknown = Asked("tcp", None, "20.0.0.1", 80, local=False)
    sets = Sets()
    assert decide(config_of(SETTINGS[1], sets), unknown, sets.matched)[-1].outcome == "intercepted"
    with pytest.raises(UnknownSourceError):
        decide(config_of(SETTINGS[2], sets), unknown, sets.matched)
