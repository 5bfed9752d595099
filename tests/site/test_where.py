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


def test_what_the_host_may_not_have_has_a_position() -> None:
    text = (
        "version: 1\ninterfaces:\n  wan0: {}\nproxy: {port: 9040}\nbypass:\n"
        "  users: [a, 7]\n  cgroups:\n    - /a.slice\n    - /b.slice\n"
    )
    site = parse(text, "site.yaml")
    assert site.where["interfaces.wan0"] == (3, 3)
    assert [site.where[f"bypass.users[{n}]"] for n in range(2)] == [(6, 11), (6, 14)]
    assert [site.where[f"bypass.cgroups[{n}]"] for n in range(2)] == [(8, 7), (9, 7)]
    assert site.policy.bypass_users == ("a", "7")
    assert site.policy.bypass_cgroups == ("/a.slice", "/b.slice")


def test_what_the_file_leaves_out_has_no_position() -> None:
    where = parse(_TEXT, "site.yaml").where
    assert "marks.intercept" not in where
    assert "sysctls.net/ipv4/conf/lo/accept_local" not in where
