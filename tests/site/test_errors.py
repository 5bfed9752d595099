"""What is wrong, as values: the document of a run has what its text says, and where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from netplan_tproxy.datapath.host import Facts
from netplan_tproxy.errors import MOST_SHOWN, Place, SiteError, SiteProblem
from netplan_tproxy.output.document import errors_of
from netplan_tproxy.reconcile.preflight import require_facts
from netplan_tproxy.site.load import load, parse

_BAD = sorted((Path(__file__).parent / "data" / "bad").glob("*.yaml"))
_HEAD = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"
_POSITION = re.compile(
    r"(?P<file>[^:]+)(:(?P<line>[0-9]+)(:(?P<column>[0-9]+))?)?: (?P<message>.*)"
)


def _error(path: str | Path) -> SiteError:
    with pytest.raises(SiteError) as caught:
        load(path)
    return caught.value


def _as_read_from_text(line: str) -> dict[str, Any]:
    """What somebody who has only the text can say; for names of files without a colon."""
    place = _POSITION.fullmatch(line)
    assert place
    numbers = {name: int(place[name]) if place[name] else None for name in ("line", "column")}
    return {"code": "site", "message": place["message"], "file": place["file"], **numbers}


@pytest.mark.parametrize("path", _BAD, ids=lambda path: path.stem)
def test_the_document_says_what_the_text_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    error = _error(path.name)
    assert errors_of(error) == [_as_read_from_text(line) for line in str(error).splitlines()]


def test_a_name_that_looks_like_a_place_is_still_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a:7:8: b.yaml"
    (entry,) = errors_of(_error(path))
    assert (entry["file"], entry["line"], entry["column"]) == (str(path), None, None)
    path.write_text(f"{_HEAD}what: 1\n", encoding="utf-8")
    (entry,) = errors_of(_error(path))
    assert (entry["file"], entry["line"], entry["column"]) == (str(path), 4, 1)


def test_a_problem_is_its_parts() -> None:
    with pytest.raises(SiteError) as caught:
        parse(f"{_HEAD}rules: [{{mark: intercept, table: 7}}]\n", "s.yaml")
    (problem,) = caught.value.problems
    assert problem.place == Place("s.yaml", 4, 27)
    assert problem.path == "rules[0].table"
    assert str(problem) == f"s.yaml:4:27: rules[0].table: {problem.message}"


def test_what_is_wrong_in_another_file_has_both_places(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(f"{_HEAD}bypass: {{to_files: [a.txt]}}\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("10.0.0.0/8\nwrong\n", encoding="utf-8")
    (problem,) = _error(path).problems
    assert (problem.place, problem.path) == (Place(str(path), 4, 21), "bypass.to_files[0]")
    assert problem.inside == Place(f"{tmp_path}/a.txt", 2)
    assert str(problem) == f"{tmp_path}/a.txt:2: {problem.message}"


def test_what_the_host_lacks_has_its_place_in_the_file() -> None:
    text = f"{_HEAD}bypass:\n  users: [root, nix]\n  cgroups: [/a.slice]\n"
    with pytest.raises(SiteError) as caught:
        require_facts(parse(text, "a\nb.yaml"), Facts(users={"root": 0}))
    assert caught.value.problems == (
        SiteProblem(
            Place("a\\nb.yaml", 5, 17), "bypass.users[1]", "no user 'nix' here; nothing was touched"
        ),
        SiteProblem(
            Place("a\\nb.yaml", 6, 13),
            "bypass.cgroups[0]",
            "no cgroup '/a.slice' here; nothing was touched",
        ),
    )
    assert [entry["line"] for entry in errors_of(caught.value)] == [5, 6]


def test_of_many_problems_the_first_are_shown_and_the_rest_counted() -> None:
    for count in (MOST_SHOWN, MOST_SHOWN + 1, MOST_SHOWN + 300):
        with pytest.raises(SiteError) as caught:
            parse(_HEAD + "".join(f"key{n}: 1\n" for n in range(count)), "s.yaml")
        lines, entries = str(caught.value).splitlines(), errors_of(caught.value)
        assert len(caught.value.problems) == count
        assert lines[:MOST_SHOWN] == list(map(str, caught.value.problems[:MOST_SHOWN]))
        assert [entry["line"] for entry in entries[:MOST_SHOWN]] == list(range(4, 24))
        more = {0: [], 1: ["s.yaml: and 1 more problem"], 300: ["s.yaml: and 300 more problems"]}
        assert lines[MOST_SHOWN:] == more[count - MOST_SHOWN]
        told = [f"{entry['file']}: {entry['message']}" for entry in entries[MOST_SHOWN:]]
        assert told == lines[MOST_SHOWN:]
