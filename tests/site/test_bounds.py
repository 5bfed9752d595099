"""YAML made to exhaust its reader ends with one line, soon."""

from __future__ import annotations

import pytest

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import parse
from netplan_tproxy.site.yaml.composer import MAX_DEPTH, MAX_NODES


def _problems(text: str) -> list[str]:
    with pytest.raises(SiteError) as caught:
        parse(text, "site.yaml")
    return list(map(str, caught.value.problems))


@pytest.mark.timeout(10)
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
    assert f"yaml: nested more than {MAX_DEPTH} levels deep, would be fewer" in _problems(text)[-1]


@pytest.mark.timeout(10)
def test_nesting_through_aliases_counts() -> None:
    text = "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 60))
    assert "levels deep" in _problems(text)[-1]


@pytest.mark.timeout(10)
def test_an_alias_bomb() -> None:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert f"yaml: more than {MAX_NODES} values, aliases expanded" in _problems(text)[-1]


@pytest.mark.timeout(10)
def test_a_merge_bomb() -> None:
    text = "a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(5000)) + "}\n"
    text += "b: {<<: [" + ", ".join(["*a0"] * 5000) + "]}\n"
    assert f"yaml: more than {MAX_NODES} values, aliases expanded" in _problems(text)[-1]


@pytest.mark.timeout(30)
def test_more_values_than_a_site_can_have() -> None:
    assert f"more than {MAX_NODES} values" in _problems("a: [" + "1," * (MAX_NODES + 1) + "]")[-1]


@pytest.mark.timeout(30)
def test_many_unknown_keys_are_all_reported() -> None:
    text = "".join(f"key{n}: 1\n" for n in range(20_000))
    assert sum("unknown key" in line for line in _problems(text)) == 20_000
