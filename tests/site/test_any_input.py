"""Whatever the file holds: a ``Site``, or a ``SiteError`` of finished lines. Nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath.layouts import BYPASS_MARKS
from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import load, parse
from netplan_tproxy.site.model import Mark, Site
from netplan_tproxy.site.schema.location import site_schema
from netplan_tproxy.site.sections.marks import FULL_MASK, overlap
from netplan_tproxy.site.sections.sysctls import ACCEPT_LOCAL
from tests.lab.budget import examples

_DATA = Path(__file__).parent / "data"
_TEXTS = [path.read_text(encoding="utf-8-sig") for path in sorted(_DATA.glob("*/*.yaml"))]
_GOOD = [path.read_text(encoding="utf-8-sig") for path in sorted(_DATA.glob("good/*.yaml"))]
_LINE = re.compile(r"site\.yaml:[1-9][0-9]*:[1-9][0-9]*: [^\n]+: [^\n]+")
_WORDS = st.sampled_from(
    [
        *site_schema()["properties"],
        "tcp",
        "address",
        "port",
        "to",
        "type",
        "dev",
        "lo",
        "mark",
        "table",
        "priority",
        "intercept",
        "bypass",
        "output",
        "forward",
        "tcp6",
        "udp",
        "when_down",
        "attach",
        "tcx",
        "family",
        "ipv6",
        "from",
        "to_files",
        "ports",
        "protocols",
        "users",
        "cgroups",
        "::/0",
        "10.0.0.0/8",
        "80-90",
        "ping",
        "timeout",
        "enabled",
        "budget",
        "1MiB",
        "wan0",
        "default",
        "127.0.0.1",
        "net.a.b",
        "net/ipv4/conf/lo/accept_local",
        "<<",
        "22:30",
        ".inf",
        "2024-01-01",
        "~",
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=9)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.integers(), inner, max_size=6)
    ),
    max_leaves=20,
)
_PIECES = st.sampled_from(
    [
        "\t",
        "\n",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "!!x ",
        "'",
        '"',
        "\\",
        "#",
        "|\n",
        "? ",
        "%",
        "---\n",
        "\x1b",
        "\x85",
        "\u2028",
        "\ud800",
        "\0",
        "0",
        "<<: *a\n",
        '"\\UFFFFFFFF"',
    ]
)
_settings = settings(
    max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _outcome(text: str) -> Site | None:
    try:
        return parse(text, "site.yaml")
    except SiteError as error:
        problems = list(map(str, error.problems))
    assert problems
    assert len(set(problems)) == len(problems)
    assert all(_LINE.fullmatch(line) and line.isprintable() for line in problems)
    positions = [tuple(map(int, line.split(":")[1:3])) for line in problems]
    assert positions == sorted(positions)
    return None


@_settings
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(data)
    problems: list[str] = []
    try:
        load(path)
    except SiteError as error:
        problems = list(map(str, error.problems))
    assert all(line.startswith(f"{path}:") and line.isprintable() for line in problems)


@_settings
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    _outcome(text)


@_settings
@given(_VALUES)
def test_any_structure(value: Any) -> None:
    _outcome(yaml.safe_dump(value))


@_settings
@given(st.sampled_from(_GOOD), _WORDS, _VALUES)
def test_a_good_file_with_any_value_in_a_section(text: str, key: str, value: Any) -> None:
    document = yaml.safe_load(text)
    _outcome(yaml.safe_dump(document | {key: value}))


@_settings
@given(st.sampled_from(_TEXTS), st.data())
def test_a_file_with_something_cut_out_or_put_in(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(_PIECES | st.just("")) + text[stop:]
    site = _outcome(text)
    if site is not None:
        _check(site)


def _check(site: Site) -> None:
    assert site.interfaces
    assert site.proxy.families
    assert not overlap(site.intercept_mark, site.bypass_mark)
    assert {rule.table for rule in site.rules} <= {route.table for route in site.routes}
    assert (ACCEPT_LOCAL, "1") in site.sysctls
    routed = {(route.table, route.family) for route in site.routes}
    rules = [rule for rule in site.rules if rule.mark == site.intercept_mark]
    ways = {(rule.table, family) for rule in rules for family in rule.families}
    assert {way for way in ways if way[1] in site.proxy.families} <= routed
    assert {family for _, family in ways} >= set(site.proxy.families)
    assert all(interface.intercept for interface in site.interfaces)
    assert () not in (site.policy.intercept_from, site.policy.intercept_to)
    assert () not in (site.policy.intercept_ports, site.policy.protocols)
    assert len(site.policy.bypass_marks) < BYPASS_MARKS


@given(
    st.lists(st.tuples(st.integers(1, 15), st.integers(1, 15)), min_size=2, max_size=2),
    st.integers(0, 15),
)
def test_marks_that_do_not_overlap_stay_apart_when_one_is_set(
    pairs: list[tuple[int, int]], before: int
) -> None:
    one, other = (Mark(value & mask, mask) for value, mask in pairs)
    if not one.value or not other.value or overlap(one, other):
        return
    carried = before & ~other.mask  # a packet that has no bit of the other mark
    assert (carried & ~one.mask | one.value) & other.mask != other.value


_MARKS = st.builds(
    lambda value, mask: Mark(value & mask, mask),
    st.integers(1, FULL_MASK),
    st.sampled_from([1, 2, 3, 0xFF, 0xFFFE, FULL_MASK - 1, FULL_MASK]) | st.integers(1, FULL_MASK),
)


@given(_MARKS.filter(lambda mark: mark.value))
def test_the_mark_that_a_message_suggests_is_accepted(mark: Mark) -> None:
    head = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
    with pytest.raises(SiteError, match=f"{mark} overlaps") as caught:
        parse(f"{head}marks: {{intercept: {mark}, bypass: {mark}}}\n", "site.yaml")
    suggested = str(caught.value).rpartition(" such as ")[2]
    site = parse(f"{head}marks: {{intercept: {mark}, bypass: {suggested}}}\n", "site.yaml")
    assert str(site.bypass_mark) == suggested
