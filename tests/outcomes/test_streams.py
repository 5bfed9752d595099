"""Output that can't be written, or not as it is: said, and never a traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.host import unchanged
from tests.lab.patience import LONG
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def into(host: Host, target: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run with standard output leading to ``target``; give exit code and standard error."""
    words = ["env", *(f"{name}={value}" for name, value in environment.items())]
    words += host.popen_words(*arguments)
    with Path(target).open("w", encoding="utf-8") as out:
        child = host.namespace.popen(words, cwd=ROOT, stdout=out, stderr=subprocess.PIPE)
        _, err = child.communicate(timeout=LONG)
    return child.returncode, err


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_full_device_hides_no_outcome(host: Host, json: list[str]) -> None:
    lost = "tproxy-apply: standard output: No space left on device\n"
    assert into(host, "/dev/full", str(host.site), *json) == (0, lost)
    assert host.apply("--check").is_as_the_file_says
    assert into(host, "/dev/full", "--destroy", *json) == (0, lost)
    assert host.run("--status").out == ["nothing is set up here"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    # The code of --status answers all the same: it is not as the file says.
    [("--dry-run", 1), ("--status", 2), ("--check", 2), ("--doctor", 1)],
)
def test_what_was_only_asked_and_not_answered_is_no_success(
    host: Host, mode: str, expected: int
) -> None:
    with unchanged(host.stare):
        code, err = into(host, "/dev/full", str(host.site), mode)
    assert code == expected
    assert err.endswith("tproxy-apply: standard output: No space left on device\n")
    assert "Traceback" not in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_our_characters_gets_others(
    host: Host, tmp_path: Path, encoding: str
) -> None:
    out = tmp_path / "out"
    assert into(host, str(out), str(host.site), PYTHONIOENCODING=encoding) == (0, "")
    assert "accept_local: 0 -> 1" in out.read_text(encoding=encoding)
    assert into(host, str(out), "--destroy", PYTHONIOENCODING=encoding) == (0, "")
    assert host.run("--status").out == ["nothing is set up here"]


def test_closed_streams_are_no_traceback(host: Host) -> None:
    words = host.popen_words(str(host.site))
    done = host.namespace.run(
        ["sh", "-c", '"$@" >&- 2>&-', "sh", *words], check=False, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert host.apply("--check").is_as_the_file_says
