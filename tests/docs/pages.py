"""Pages whose console blocks are typed in a lab: what they tell people works."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import Lab
from tests.lab.patience import LONG
from tests.paths import DOCS

_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n\n?)?```(?P<kind>\w*)\n(?P<body>.*?)```", re.DOTALL
)


class Step(NamedTuple):
    """A command and lines that the page says it prints, in their order; ``…`` is any text."""

    command: str
    output: list[str]
    where: str = "host"


def blocks(kind: str, text: str) -> list[tuple[str, str]]:
    """Bodies of the fences of one kind, each with the reason why it is not run, if any."""
    found = _FENCE.finditer(text)
    return [(match["reason"] or "", match["body"]) for match in found if match["kind"] == kind]


def module_of(name: str) -> Any:
    """The script of docs/ that makes a page or a drawing."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps(text: str) -> list[Step]:
    made: list[Step] = []
    for reason, body in blocks("console", text):
        if reason:
            continue
        for line in body.splitlines():
            prompt, is_command, command = line.partition("$ ")
            if is_command and prompt in {"", "lan"}:
                made.append(Step(command, [], prompt or "host"))
            else:
                made[-1].output.append(line)
    return made


def do(lab: Lab, folder: Path, step: Step) -> None:
    """Type one command, in the folder of the site file."""
    where = lab.host if step.where == "host" else lab.lan
    assert where is not None
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    options: dict[str, Any] = {"cwd": folder, "env": {**os.environ, "PATH": path}}
    if step.command.endswith(" &"):
        command = ["bash", "-c", f"exec {step.command.removesuffix(' &')}"]
        port = re.search(r":(\d+)", step.command)
        if port is None:
            waiting = where.popen(command, stdout=subprocess.PIPE, **options)
            assert waiting.stdout is not None
            assert any("goes back in" in line for line in waiting.stdout)
            return
        where.popen(command, **options)
        listening = f"until ss -Hltn 'sport = :{port[1]}' | grep -q .; do sleep 0.02; done"
        where.run(["timeout", "10", "bash", "-c", listening])
        return
    done = where.run(["bash", "-c", step.command], timeout=LONG, **options)
    shown = iter(done.stdout.splitlines())
    for line in step.output:
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        said = any(pattern.fullmatch(one) for one in shown)
        assert said, f"{step.command} did not say {line!r} in this place:\n{done.stdout}"
