"""YAML made to exhaust its reader ends with one line, soon."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import parse
from netplan_tproxy.site.yaml import composer
from netplan_tproxy.site.yaml.composer import MAX_DEPTH, MAX_EXPANDED

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from _typeshed import TraceFunction

_HEAD = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"


def _problems(text: str) -> list[str]:
    with pytest.raises(SiteError) as caught:
        parse(text, "site.yaml")
    return list(map(str, caught.value.problems))


@pytest.mark.cpu_seconds(10)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "".join(" " * n + f"a{n}:\n" for n in range(1000)),
    ],
    ids=["lists", "maps", "items", "keys", "blocks"],
)
def test_deep_nesting(text: str) -> None:
    assert f"yaml: nested more than {MAX_DEPTH} levels deep, expected fewer" in _problems(text)[-1]


@pytest.mark.cpu_seconds(10)
def test_nesting_through_aliases_counts() -> None:
    text = "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 60))
    assert "levels deep" in _problems(text)[-1]


@pytest.mark.cpu_seconds(10)
def test_an_alias_bomb() -> None:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert f"yaml: more than {MAX_EXPANDED} values come of aliases" in _problems(text)[-1]


@pytest.mark.cpu_seconds(10)
def test_a_merge_bomb() -> None:
    text = "a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(5000)) + "}\n"
    text += "b: {<<: [" + ", ".join(["*a0"] * 5000) + "]}\n"
    assert f"yaml: more than {MAX_EXPANDED} values come of aliases" in _problems(text)[-1]


@pytest.mark.cpu_seconds(30)
def test_more_values_than_a_site_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composer, "MAX_NODES", 20_000)
    assert "more than 20000 values" in _problems("a: [" + "1," * 20_001 + "]")[-1]


@pytest.mark.cpu_seconds(30)
def test_many_unknown_keys_are_all_reported() -> None:
    text = _HEAD + "".join(f"key{n}: 1\n" for n in range(20_000))
    assert sum("unknown key" in line for line in _problems(text)) == 20_000


def _steps(text: str) -> int:
    """How many lines of Python it takes to load a file."""
    steps = 0

    def count(_frame: FrameType, event: str, _argument: object) -> TraceFunction:
        nonlocal steps
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        with suppress(SiteError):
            parse(text, "site.yaml")
    finally:
        sys.settrace(before)
    return steps


_INTERCEPT = "version: 1\ninterfaces: {wan0: {intercept: [%s]}}\nproxy: {port: 9040}\n"
_REPEATED: dict[str, Callable[[int], str]] = {
    "different words": lambda n: _INTERCEPT % ", ".join(f"x{i}" for i in range(n)),
    "different maps": lambda n: _INTERCEPT % ", ".join(f"{{a{i}: 1}}" for i in range(n)),
    "words and numbers": lambda n: _INTERCEPT % ", ".join(f"x{i}, {i}, []" for i in range(n)),
    "unknown keys": lambda n: _HEAD + "".join(f"key{i}: 1\n" for i in range(n)),
    "almost known keys": lambda n: _HEAD + "".join(f"interfacez{i}: 1\n" for i in range(n)),
    "the same key": lambda n: _HEAD + "what: 1\n" * n,
    "blank lines": lambda n: _HEAD + "\n" * n + "# end",
    "equal priorities": lambda n: (
        f"{_HEAD}rules:\n"
        + "".join(
            f"- {{mark: bypass, table: 100, priority: {i % n + 1000}}}\n" for i in range(2 * n)
        )
    ),
    "tables without a route": lambda n: (
        "version: 1\ninterfaces: {wan0: {}}\nproxy: {tcp6: {port: 9040}}\nroute_tables:\n"
        + "".join(f"  {i + 1000}: [{{to: 10.0.0.0/8}}]\n" for i in range(n))
        + "rules:\n"
        + "".join(
            f"- {{mark: intercept, table: {i + 1000}, priority: {i + 1000}}}\n" for i in range(n)
        )
    ),
    "users given twice": lambda n: (
        f"{_HEAD}bypass: {{users: [{', '.join(f'u{i % n}' for i in range(2 * n))}]}}\n"
    ),
    "networks": lambda n: (
        f"{_HEAD}bypass: {{to: [{', '.join(f'10.{i >> 8}.{i & 255}.1' for i in range(n))}]}}\n"
    ),
}


@pytest.mark.parametrize("shape", _REPEATED)
def test_twice_as_much_takes_at_most_twice_as_long(shape: str) -> None:
    text_of = _REPEATED[shape]
    _steps(text_of(1))  # what is imported and cached once is not the question
    # A tenth to spare; what takes the square of the time would come near four times.
    assert _steps(text_of(400)) < 2.2 * _steps(text_of(200))
