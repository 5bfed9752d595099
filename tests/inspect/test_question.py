"""How the connection that ``--explain`` is asked about is named."""

from __future__ import annotations

import pytest

from netplan_tproxy.inspect.flow import parse_target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.1.1.1:443", ("1.1.1.1", 443)),
        ("[2606:4700::1111]:443", ("2606:4700::1111", 443)),
        ("[2606:4700:0::1111]:1", ("2606:4700::1111", 1)),
        ("[::ffff:1.1.1.1]:80", ("1.1.1.1", 80)),
    ],
)
def test_a_target_is_an_address_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_target(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "1.1.1.1", "1.1.1.1:", "1.1.1.1:0", "1.1.1.1:65536", "1.1.1.1:http", "one:80",
     "2606:4700::1111:443", "[1.1.1.1]:80", "[2606:4700::1111]", "1.1.1.1:-1"],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address and port such as"):
        parse_target(text)
