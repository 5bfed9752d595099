"""``Site.where``: positions for what later stages find wrong."""

from __future__ import annotations

from netplan_tproxy.site.load import parse

_TEXT = """\
version: 1
interfaces:
  eth0.10: {}
proxy: {port: 9040}
route_tables:
  0x64:
    - {to: default}
rules:
  - {mark: intercept, table: 100}
sysctls:
  net.ipv4.ip_forward: 1
"""


def test_positions_are_those_of_keys_and_list_items() -> None:
    where = parse(_TEXT, "site.yaml").where
    assert where["interfaces.eth0.10"] == (3, 3)
    assert where["route_tables.100"] == (6, 3)
    assert where["route_tables.100[0]"] == (7, 7)
    assert where["rules[0].table"] == (9, 23)


def test_names_are_found_in_the_form_the_site_holds() -> None:
    where = parse(_TEXT, "site.yaml").where
    assert where["sysctls.net/ipv4/ip_forward"] == where["sysctls.net.ipv4.ip_forward"] == (11, 3)
    assert where["proxy.tcp"] == where["proxy.tcp.port"] == where["proxy.port"] == (4, 9)


def test_what_the_file_leaves_out_has_no_position() -> None:
    where = parse(_TEXT, "site.yaml").where
    assert "marks.intercept" not in where
    assert "sysctls.net/ipv4/conf/lo/accept_local" not in where
