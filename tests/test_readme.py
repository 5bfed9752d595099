"""What README.md tells people to type is typed here, in order, in one lab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from netplan_tproxy import errors
from netplan_tproxy.site.load import load
from tests.lab import HttpServer, Lab, diff_snapshots, snapshot

README = Path(__file__).parents[1] / "README.md"
_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?```(?P<kind>\w*)\n(?P<body>.*?)```", re.DOTALL
)


class Step(NamedTuple):
    """A command and the lines that the README says it prints."""

    command: str
    output: list[str]


def blocks(kind: str, text: str) -> list[tuple[str, str]]:
    """Bodies of the fences of one kind, each with the reason why it is not run, if any."""
    found = _FENCE.finditer(text)
    return [(match["reason"] or "", match["body"]) for match in found if match["kind"] == kind]


def steps(text: str) -> list[Step]:
    made: list[Step] = []
    for reason, body in blocks("console", text):
        if reason:
            continue
        for line in body.splitlines():
            if line.startswith("$ "):
                made.append(Step(line.removeprefix("$ "), []))
            else:
                made[-1].output.append(line)
    return made


def do(lab: Lab, folder: Path, step: Step) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    options: dict[str, Any] = {"cwd": folder, "env": {**os.environ, "PATH": path}}
    if step.command.endswith(" &"):
        command = ["bash", "-c", f"exec {step.command.removesuffix(' &')}"]
        port = re.search(r":(\d+)", step.command)
        if port is None:
            waiting = lab.host.popen(command, stdout=subprocess.PIPE, **options)
            assert waiting.stdout is not None
            assert any("goes back in" in line for line in waiting.stdout)
            return
        lab.host.popen(command, **options)
        listening = f"until ss -Hltn 'sport = :{port[1]}' | grep -q .; do sleep 0.02; done"
        lab.host.run(["timeout", "10", "bash", "-c", listening])
        return
    done = lab.host.run(["bash", "-c", step.command], timeout=60, **options)
    for line in step.output:
        assert line in done.stdout.splitlines(), f"{step.command} did not say {line!r}"


@pytest.mark.lab
@pytest.mark.bpf
def test_what_the_readme_says_works_and_leaves_nothing_behind(lab: Lab, tmp_path: Path) -> None:
    text = README.read_text()
    smallest, *_ = [body for _, body in blocks("yaml", text)]
    (tmp_path / "site.yaml").write_text(smallest)
    typed = steps(text)
    assert len(typed) >= 7
    before = snapshot(lab.host)
    with HttpServer(lab.net):
        for step in typed:
            do(lab, tmp_path, step)
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
    assert len(reasons) == 1


def test_the_exit_codes_are_those_of_the_errors() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(), re.MULTILINE)}
    known = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TproxyError)
    }
    assert known <= listed
    assert listed - known == {0, 2, 64}
