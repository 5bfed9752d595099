"""What a plan means is said first, in a person's words."""

from __future__ import annotations

import re

import pytest

from netplan_tproxy.inspect.meaning import difference, meaning
from netplan_tproxy.output.plan import meaning_lines
from netplan_tproxy.site.load import parse
from netplan_tproxy.state.site_record import SiteRecord, record_of
from tests.lab.host import SITE, Host

WHOLE = """\
version: 1
interfaces: {wan0: {intercept: [output, forward]}, eth0.10: {intercept: forward}}
proxy: {tcp: {port: 9040}, tcp6: {port: 9041}, udp6: {port: 9041}, when_down: bypass}
intercept: {to: [20.0.0.0/8, "2001:db8::/32"], ports: [80, 8000-8999]}
bypass: {from: [10.0.0.7], ports: [22], users: [haproxy, "12"], marks: [0x10/0x10]}
fastpath: {enabled: true, cgroup: /apps}
"""


def record(text: str) -> SiteRecord:
    return record_of(parse(text, "site.yaml"), "/etc/site.yaml", 1.0)


def test_the_smallest_file_means_one_line() -> None:
    assert meaning(record(SITE)) == [(False, "TCP leaving wan0 → 127.0.0.1:9040")]


def test_a_line_a_listener_and_then_what_narrows_them() -> None:
    ways = "leaving wan0 or coming in by wan0, eth0.10"
    assert meaning(record(WHOLE)) == [
        (False, f"TCP {ways} → 127.0.0.1:9040"),
        (False, f"TCP over IPv6 {ways} → [::1]:9041"),
        (False, f"UDP over IPv6 {ways} → [::1]:9041"),
        (True, "only to 20.0.0.0/8, 2001:db8::/32"),
        (True, "only to ports 80, 8000-8999"),
        (True, "except from 10.0.0.7/32"),
        (True, "except to ports 22"),
        (True, "except of users haproxy, 12"),
        (True, "except what is marked 0x10/0x10"),
        (True, "while nobody listens it goes out directly"),
        (True, "past TCP for processes of cgroup /apps"),
    ]


def test_a_protocol_that_is_not_intercepted_is_not_named() -> None:
    text = WHOLE.replace("ports: [80, 8000-8999]", "protocols: [udp]")
    assert [line for detail, line in meaning(record(text)) if not detail] == [
        "UDP over IPv6 leaving wan0 or coming in by wan0, eth0.10 → [::1]:9041"
    ]


@pytest.mark.parametrize(("number", "said"), [(6, None), (7, None), (8, 2), (64, 58), (65, None)])
def test_of_a_long_list_the_first_six_are_named(number: int, said: int | None) -> None:
    networks = ", ".join(f"20.{2 * at}.0.0/16" for at in range(number))
    ((_, line),) = [
        one
        for one in meaning(record(SITE + f"bypass: {{to: [{networks}]}}\n"))
        if one[1].startswith("except to")
    ]
    more = re.search(r" and (\d+) more$", line)
    assert (int(more[1]) if more else None) == said
    assert len(line) < 130


def shown(before: str, after: str) -> list[str]:
    ends = [record(text) if text else None for text in (before, after)]
    return meaning_lines(difference(*ends))


def test_where_nothing_was_nothing_is_called_new() -> None:
    assert shown("", SITE) == ["TCP leaving wan0 → 127.0.0.1:9040"]
    assert shown(SITE, SITE) == ["TCP leaving wan0 → 127.0.0.1:9040"]
    assert shown(SITE, "") == ["no longer: TCP leaving wan0 → 127.0.0.1:9040"]
    assert shown("", "") == []
    gone = shown(SITE + "bypass: {ports: [22]}\n", "")
    assert gone == ["no longer: TCP leaving wan0 → 127.0.0.1:9040"]


def test_a_difference_names_what_is_new_and_what_no_longer_holds() -> None:
    before = SITE + "bypass: {ports: [22]}\n"
    after = SITE.replace("{port: 9040}", "{tcp: {port: 9040}, udp: {port: 9040}}")
    assert shown(before, after + "bypass: {ports: [25]}\n") == [
        "TCP leaving wan0 → 127.0.0.1:9040",
        "new: UDP leaving wan0 → 127.0.0.1:9040",
        "  new: except to ports 25",
        "  no longer: except to ports 22",
    ]


@pytest.mark.lab
@pytest.mark.bpf
def test_a_run_says_what_it_means_first_and_last_that_it_is_done(host: Host) -> None:
    first, *_, last = host.applied().out
    assert first == "TCP leaving wan0 → 127.0.0.1:9040"
    assert re.fullmatch(r"applied in \d+\.\d s", last)
    assert host.applied().out == ["no changes"]
    host.write(SITE.replace("9040", "9041"))
    looked = host.apply("--dry-run")
    assert looked.out[0] == "new: TCP leaving wan0 → 127.0.0.1:9041"
    assert looked.out[-1] == "0 to add, 1 to change, 0 to remove"
    first, *_, last = host.destroyed().out
    assert first == "no longer: TCP leaving wan0 → 127.0.0.1:9040"
    assert re.fullmatch(r"taken away in \d+\.\d s", last)
