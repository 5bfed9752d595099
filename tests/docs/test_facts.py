"""What tables of docs/ say is what the programs and the doctor have."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterator

from netplan_tproxy.datapath import fastpath, programs
from netplan_tproxy.inspect import decision
from tests.docs.pages import module_of
from tests.paths import DOCS, ROOT


def rows(page: str, title: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {title}\n")[2]
    lines = text[text.index("\n| ") :].strip().partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_page_of_features_is_what_the_table_makes() -> None:
    made = module_of("features").page()
    assert (DOCS / "features.md").read_text() == made, "run: python docs/features.py"


def test_each_counter_has_its_line() -> None:
    told = [row[0].strip("`") for row in rows("status.md", "The counters")]
    assert sorted(told) == sorted(name.replace("_", " ") for name in programs.OUTCOMES)


def test_each_counter_of_the_fast_path_has_its_line() -> None:
    told = [row[0].strip("`") for row in rows("status.md", "The fast path's counters")]
    assert told == [name.replace("_", " ") for name in fastpath.OUTCOMES]


def test_the_dropped_are_called_so() -> None:
    source = (ROOT / "bpf/tproxy/fate.h").read_text(encoding="utf-8")
    cases = source[: source.index("fate = DROPPED;")]
    verdicts = cases[cases.rindex("break;") :]
    shot = {name.lower().replace("_", " ") for name in re.findall(r"case OUT_(\w+):", verdicts)}
    told = {row[0].strip("`") for row in rows("status.md", "The counters") if "**drop" in row[1]}
    assert told == shot


def test_what_is_never_intercepted_is_listed_whole() -> None:
    told = rows("datapath.md", "What the policy is never asked about")
    targets = [ipaddress.ip_network(re.split("[: ]", row[0])[0] if "::" not in row[0]
                                    else row[0].partition(": ")[0]) for row in told]  # fmt: skip
    assert {row[1] for row in told} == {"never intercepted"}
    assert set(targets) == set(decision._NEVER)
    sources = {
        network
        for network, row in zip(targets, told, strict=True)
        if row[2].startswith("never intercepted")
    }
    assert sources | {ipaddress.ip_network("0.0.0.0/32")} == set(decision._NO_HOST)
    (zero,) = [row for row in told if row[0] == "0.0.0.0/8"]
    assert zero[2].startswith("0.0.0.0 alone")


def said_by_the_doctor() -> Iterator[str]:
    others = ("reconcile/preflight.py", "site/caution.py")
    for path in [
        *ROOT.glob("netplan_tproxy/inspect/**/*.py"),
        *(ROOT / "netplan_tproxy" / name for name in others),
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value)
                    if isinstance(part, ast.Constant)
                    else f"{{{ast.unparse(part)}}}"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_has_the_words_of_the_doctor() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    phrases = [phrase for row in table for phrase in re.findall("`([^`]*)`", row[1])]
    assert len(phrases) > 12
    said = list(said_by_the_doctor())
    missing = [phrase for phrase in phrases if not any(phrase in text for text in said)]
    assert missing == []
