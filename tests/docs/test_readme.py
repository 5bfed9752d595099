"""What README.md tells people to type is typed here, in order, in one lab."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from netplan_tproxy import errors
from netplan_tproxy.site.load import load
from tests.docs.pages import blocks, do, steps
from tests.lab import HttpServer, Lab, diff_snapshots, snapshot
from tests.paths import ROOT

README = ROOT / "README.md"


@pytest.mark.lab
@pytest.mark.bpf
def test_what_the_readme_says_works_and_leaves_nothing_behind(lab: Lab) -> None:
    text = README.read_text()
    smallest, *_ = [body for _, body in blocks("yaml", text)]
    typed = steps(text)
    assert len(typed) >= 7
    before = snapshot(lab.host)
    # A short path: where it is shown, the line that the page has is not broken.
    with HttpServer(lab.net), tempfile.TemporaryDirectory(dir="/tmp") as folder:
        (Path(folder) / "site.yaml").write_text(smallest)
        for step in typed:
            do(lab, Path(folder), step)
    assert diff_snapshots(before, snapshot(lab.host)) == []


def test_every_site_file_in_the_readme_loads(tmp_path: Path) -> None:
    shown = [body for _, body in blocks("yaml", README.read_text())]
    for number, body in enumerate(shown):
        site = tmp_path / f"{number}.yaml"
        site.write_text(body)
        load(site)
    assert len(shown) >= 2


def test_every_block_that_is_not_run_says_why() -> None:
    reasons = [reason for reason, _ in blocks("console", README.read_text()) if reason]
    assert len(reasons) == 2  # installing, and the unit


def test_the_exit_codes_are_those_of_the_errors() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(), re.MULTILINE)}
    known = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TproxyError)
    }
    assert known <= listed
    assert listed - known == {0, 2, 10}
