"""The manual pages are made from the parsers, and say what the programs do."""

from __future__ import annotations

import re
import subprocess

import pytest

from netplan_tproxy import errors
from netplan_tproxy.cli.manpage import page, parsers
from netplan_tproxy.commands.options import UNHEARD
from netplan_tproxy.errors import UsageError
from tests.lab.needed import need
from tests.paths import DOCS

NAMES = ("tproxy-apply", "tproxy-relay")
of_each = pytest.mark.parametrize("name", NAMES)


def made(name: str) -> str:
    return page(parsers()[name])


def shown(name: str) -> str:
    """The page as man(1) shows it, unbroken."""
    need("mandoc")
    words = ["mandoc", "-Tascii", "-Owidth=1000"]
    done = subprocess.run(words, input=made(name), capture_output=True, text=True, check=True)
    return re.sub(r".\x08", "", done.stdout)


def test_each_program_has_a_page() -> None:
    assert sorted(parsers()) == sorted(NAMES)
    assert {path.stem for path in DOCS.glob("*.8")} == set(NAMES)


@of_each
def test_the_page_in_the_repository_is_current(name: str) -> None:
    assert (DOCS / f"{name}.8").read_text() == made(name), "run: make man"


@of_each
def test_mandoc_has_nothing_to_say_against_it(name: str) -> None:
    need("mandoc")
    done = subprocess.run(
        ["mandoc", "-Tlint"], input=made(name), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@of_each
def test_groff_and_man_show_it_without_a_complaint(name: str) -> None:
    need("man", "groff")
    words = ["man", "--warnings", "-l", str(DOCS / f"{name}.8")]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stderr == ""
    assert "NAME" in done.stdout


@of_each
def test_every_option_stands_in_it_with_its_help(name: str) -> None:
    text = " ".join(shown(name).split())
    parser = parsers()[name]
    for action in parser._actions:
        for option in action.option_strings:
            assert option in text
        expanded = parser._get_formatter()._expand_help(action)
        assert " ".join(expanded.split())[1:] in text


def codes(name: str) -> set[int]:
    status = re.split("FILES|EXAMPLES", shown(name).split("EXIT STATUS")[1])[0]
    return {int(code) for code in re.findall(r"^ +(\d+)\s", status, re.MULTILINE)}


def test_every_exit_code_of_an_error_stands_in_it() -> None:
    kinds = [getattr(errors, kind) for kind in dir(errors) if kind.endswith("Error")]
    listed = codes("tproxy-apply")
    assert {kind.exit_code for kind in kinds} <= listed
    assert {0, 2, UNHEARD} <= listed


def test_every_exit_code_of_the_relay_stands_in_it() -> None:
    assert codes("tproxy-relay") == {0, 1, UsageError.exit_code}
