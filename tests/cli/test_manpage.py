"""The manual page is made from the parser, and says what the tool does."""

from __future__ import annotations

import re
import subprocess

from netplan_tproxy import errors
from netplan_tproxy.cli.arguments import EX_USAGE, parser
from netplan_tproxy.cli.manpage import page
from tests.paths import ROOT

KEPT = ROOT / "docs" / "tproxy-apply.8"


def shown() -> str:
    """The page as man(1) shows it, unbroken."""
    words = ["mandoc", "-Tascii", "-Owidth=1000"]
    done = subprocess.run(words, input=page(parser()), capture_output=True, text=True, check=True)
    return re.sub(r".\x08", "", done.stdout)


def test_the_page_in_the_repository_is_current() -> None:
    made = page(parser())
    assert KEPT.read_text() == made, "run: make man"


def test_mandoc_has_nothing_to_say_against_it() -> None:
    done = subprocess.run(
        ["mandoc", "-Tlint"], input=page(parser()), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_groff_and_man_show_it_without_a_complaint() -> None:
    words = ["man", "--warnings", "-l", str(KEPT)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stderr == ""
    assert "NAME" in done.stdout


def test_every_option_stands_in_it_with_its_help() -> None:
    text = " ".join(shown().split())
    for action in parser()._actions:
        for name in action.option_strings:
            assert name in text
        expanded = parser()._get_formatter()._expand_help(action)
        assert " ".join(expanded.split())[1:] in text


def test_every_exit_code_of_an_error_stands_in_it() -> None:
    kinds = [getattr(errors, name) for name in dir(errors) if name.endswith("Error")]
    status = shown().split("EXIT STATUS")[1].split("FILES")[0]
    listed = {int(code) for code in re.findall(r"^ +(\d+)\s", status, re.MULTILINE)}
    assert {kind.exit_code for kind in kinds} <= listed
    assert {0, 2, EX_USAGE} <= listed
