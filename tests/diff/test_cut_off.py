"""What a change takes from the connections that there are."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from netplan_tproxy.datapath.layouts import FLOWS, TRACKED, ConfigValue, SetIds
from netplan_tproxy.kinds.config import Config
from netplan_tproxy.kinds.filter import Filter
from netplan_tproxy.kinds.map import Map
from netplan_tproxy.kinds.rule import Rule
from netplan_tproxy.kinds.tcx import Tcx
from netplan_tproxy.reconcile.cut_off import Lost, in_all, lost
from netplan_tproxy.resource.values import Change, Plan
from netplan_tproxy.site.model import Listener, Mark

V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)
WAN = Filter("wan0", "egress", "wan_egress@1", 7)
LINK = Tcx("wan0", "egress", "wan_egress@1", 7)
LAN = Filter("lan0", "ingress", "lan_ingress@1", 8)
RULES = {family: Rule(family, 1000, 1, 1, 100) for family in (V4, V6)}


def config(*listeners: str) -> Config:
    found = tuple(
        Listener("::1" if name.endswith("6") else "127.0.0.1", 9040) if name in listeners else None
        for name in ("tcp", "tcp6", "udp", "udp6")
    )
    return Config(ConfigValue(SetIds(), Mark(1, 1), (), found, 1).pack())


FAMILY_GOES = [Change(config("tcp", "tcp6"), config("tcp6")), Change(RULES[V4], None)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], Lost()),
        (FAMILY_GOES, Lost(families=frozenset({V4}))),
        (FAMILY_GOES[:1], Lost()),  # the file names a rule of the family
        (FAMILY_GOES[1:], Lost()),  # another rule does it
        ([Change(config("tcp", "udp"), config("udp")), Change(RULES[V4], None)], Lost()),
        (
            [
                Change(config("tcp"), config("tcp6")),
                Change(None, RULES[V6]),
                Change(RULES[V4], None),
            ],
            Lost(families=frozenset({V4})),
        ),
        ([Change(None, replace(RULES[V4], mark=2)), Change(RULES[V4], None)], Lost()),
        ([Change(WAN, None)], Lost(output=frozenset({7}))),
        ([Change(WAN, replace(WAN, program="wan_egress@2"))], Lost()),
        ([Change(WAN, replace(WAN, program="wan_egress_l3@1"))], Lost()),
        ([Change(LAN, replace(LAN, program="wan_ingress@1"))], Lost(forward=frozenset({8}))),
        ([Change(None, WAN), Change(None, LAN)], Lost()),
        ([Change(LINK, None)], Lost(output=frozenset({7}))),
        ([Change(LINK, replace(LINK, program="wan_egress@2"))], Lost()),
        ([Change(Map(FLOWS.pin), None)], Lost(everything=True)),
        ([Change(Map(TRACKED.pin), None)], Lost()),
    ],
)
def test_only_what_nothing_carries_any_more_is_lost(changes: list[Change], expected: Lost) -> None:
    assert lost(changes) == expected
    assert bool(lost(changes)) == (expected != Lost())


def test_what_a_killed_run_had_begun_is_lost_unless_it_is_wanted_again() -> None:
    begun = [Change(None, LAN), Change(WAN, None)]
    assert lost(in_all(begun, Plan())) == Lost(output=frozenset({7}))
    assert lost(in_all(begun, Plan(wanted=(WAN,)))) == Lost()
    assert lost(in_all([], Plan(changes=(Change(LAN, None),)))) == Lost(forward=frozenset({8}))
