"""The headers below bpf/ lie where bpf/README.md says, and each is used."""

from __future__ import annotations

import re

from netplan_tproxy.datapath import fastpath
from netplan_tproxy.datapath import programs as datapath

BPF = datapath.bpf_directory()
SOURCES = (datapath.SOURCE, fastpath.SOURCE)
HEADERS = {
    f"{folder}/{path.name}"
    for folder in ("common", "tproxy", "fastpath")
    for path in (BPF / folder).iterdir()
}


def included(source: str) -> list[str]:
    return re.findall(r'^#include "([^"]+)"$', (BPF / source).read_text(), re.MULTILINE)


def test_every_header_is_included_once_and_by_a_source() -> None:
    for source in SOURCES:
        assert len(included(source)) == len(set(included(source)))
    assert set().union(*map(included, SOURCES)) == HEADERS
    assert [header for header in HEADERS if included(header)] == []


def test_what_both_sources_include_lies_in_one_folder_and_nothing_else_does() -> None:
    both = set(included(datapath.SOURCE)) & set(included(fastpath.SOURCE))
    assert both == {header for header in HEADERS if header.startswith("common/")}


def test_the_map_of_the_headers_is_complete() -> None:
    text = (BPF / "README.md").read_text()
    named = set()
    tables = re.compile(r"^\| in `(\w+)/` \|(.*?)\n\n", re.DOTALL | re.MULTILINE)
    for folder, table in tables.findall(text):
        rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
        named |= {f"{folder}/{name}" for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == HEADERS


def test_every_function_that_the_map_names_is_there() -> None:
    text = (BPF / "README.md").read_text()
    life = text.partition("## The life of a packet")[2].partition("## Rules")[0]
    code = datapath.program_source()
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", life))
    assert len(named) > 20
    assert {name for name in named if not re.search(rf"\b{name}\(", code)} == set()
