"""The pages of docs/ say what works: each is played in a lab, from its first line to its last."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netplan_tproxy.site.load import load
from tests.docs.pages import blocks, do, steps
from tests.lab import HttpServer, Lab, diff_snapshots, snapshot
from tests.lab.patience import CURL
from tests.paths import DOCS, ROOT

PAGES = sorted(DOCS.glob("*.md"))
ALL = [*PAGES, *ROOT.glob("*.md"), ROOT / "bpf/README.md", ROOT / "tests/README.md"]
PLAYED = [page for page in PAGES if steps(page.read_text())]


@pytest.mark.lab
@pytest.mark.bpf
@pytest.mark.parametrize("page", PLAYED, ids=lambda page: page.stem)
def test_what_a_page_says_works_and_leaves_nothing_behind(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    with Lab(lan=True) as lab, HttpServer(lab.net):
        # The first packets between two machines are about their link addresses.
        assert lab.lan is not None
        lab.lan.run([*CURL, "http://1.1.1.1/"])
        files = [body for _, body in blocks("yaml", text)]
        if files:
            (tmp_path / "site.yaml").write_text(files[0])
        before = snapshot(lab.host)
        for step in steps(text):
            do(lab, tmp_path, step)
        assert diff_snapshots(before, snapshot(lab.host)) == []


def test_the_tutorials_are_played() -> None:
    assert {"tutorial", "gateway", "server"} <= {page.stem for page in PLAYED}


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        there = page.parent / target if target else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """What its headings can be linked by."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]*)", (ROOT / "README.md").read_text()))
    assert {f"docs/{page.name}" for page in PAGES} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_whole_site_file_loads(page: Path, tmp_path: Path) -> None:
    for _, body in blocks("yaml", page.read_text()):
        if body.startswith("version:"):
            path = tmp_path / "site.yaml"
            path.write_text(body)
            load(path)
