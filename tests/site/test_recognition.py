"""Nothing is quoted from a file that is no site file: whoever may name one may not read it so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netplan_tproxy.errors import SiteError
from netplan_tproxy.output.document import errors_of
from netplan_tproxy.site.load import load, parse
from tests.lab.budget import examples

_WORD = "s3cret"
# The word, what means something in YAML or stands in other files, and keys of ours: only one of
# those that every site file has.
_PIECES = st.sampled_from(
    [
        *(_WORD, f"{_WORD}: ", f"'{_WORD}'", f"*{_WORD} ", f"&{_WORD} ", f"!{_WORD} "),
        *(f"!!{_WORD} ", f"%{_WORD}\n", f'"\\{_WORD}"', f"|{_WORD}\n", f"0{_WORD}", "01"),
        *(
            "\n",
            "\n  ",
            ": ",
            ":\n",
            "- ",
            "? ",
            ", ",
            "{",
            "}",
            "[",
            "]",
            "'",
            '"',
            "#",
            "\t",
            "---\n",
        ),
        *(
            "<<: ",
            "sysctls: ",
            "rules: ",
            "site: ",
            "bypass: {to: [",
            "to_files: [",
            "interfaces: ",
        ),
        *("\x07", "\x1b", "\ud800", "::", "$y$j9T$", "*", "&a ", "~", "1", "0x1/0x1"),
    ]
)


def _said(text: str) -> str:
    """All that is said of a file, in whatever form."""
    with pytest.raises(SiteError) as caught:
        parse(text, "s.yaml")
    return f"{caught.value}{caught.value.problems}{errors_of(caught.value)}"


@settings(max_examples=examples(1000))
@given(st.lists(_PIECES, min_size=1, max_size=12).map("".join))
@example(f"{_WORD}:$y$j9T$:19000:0:99999:7:::\n")
@example(f"version: {_WORD}\nsite: {_WORD}\n")
@example(f"interfaces: {{wan0: {_WORD}}}\n{_WORD}: [")
def test_nothing_of_any_other_file_is_shown(text: str) -> None:
    assert _WORD not in _said(text)


@pytest.mark.parametrize("keys", ["version: 1", "interfaces: {wan0: {}}", "proxy: {port: 9040}"])
def test_a_file_with_one_key_of_ours_is_told_what_it_lacks_and_not_quoted(keys: str) -> None:
    text = f"{keys}\n{_WORD}: {_WORD}\n"
    lacking = {"version", "interfaces", "proxy"} - {keys.partition(":")[0]}
    said = _said(text)
    assert "does not look like a site file" in said
    assert all(f"{key}: missing" in said for key in lacking)
    assert _WORD not in said


def test_a_site_file_with_mistakes_is_quoted() -> None:
    for rest in ("proxy: {port: wrong}\n", "wrong: 1\n", "proxy: *wrong\n"):
        assert "wrong" in _said(f"version: 1\ninterfaces: {{wan0: {{}}}}\n{rest}")


def test_bytes_that_are_no_text_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "any"
    path.write_bytes(f"{_WORD}\xff{_WORD}".encode("latin-1"))
    with pytest.raises(SiteError) as caught:
        load(path)
    assert _WORD not in str(caught.value)
