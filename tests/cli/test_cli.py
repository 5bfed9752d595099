"""The command line: options, exit codes, and what goes to which stream."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netplan_tproxy import __version__
from netplan_tproxy.cli import main as cli
from netplan_tproxy.cli.arguments import parser
from tests.lab.effort import is_done_within
from tests.lab.patience import LONG
from tests.paths import ROOT

SITE = "version: 1\ninterfaces:\n  wan0: {}\nproxy: {port: 9040}\n"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "netplan_tproxy", *arguments]
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONG
    )


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.main(arguments)
    except SystemExit as leaving:
        code = int(str(leaving.code))
    return code, *capsys.readouterr()


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "--version") == (0, f"tproxy-apply {__version__}\n", "")


def test_help_names_every_option_and_every_option_has_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = outcome(capsys, "--help")
    assert (code, err) == (0, "")
    for action in parser()._actions:
        assert action.help
        assert all(option in out for option in action.option_strings)


def test_help_and_version_need_neither_root_nor_a_second() -> None:
    assert run("--version").returncode == 0
    assert is_done_within(1, lambda: run("--version"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["one.yaml", "two.yaml"],
        ["--check", "--dry-run"],
        ["--dry"],
        ["--lock-timeout"],
        ["--lock-timeout", "soon"],
        ["--lock-timeout", "-1"],
        ["--lock-timeout", "nan"],
        ["--lock-timeout", "inf"],
        ["--state-dir"],
    ],
)
def test_a_wrong_command_line_exits_64_with_the_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, out, err = outcome(capsys, *arguments)
    assert (code, out) == (64, "")
    assert err.startswith("usage: tproxy-apply ")
    assert err.splitlines()[-1].startswith("tproxy-apply: ")


def test_a_wrong_site_file_exits_65_and_points_at_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("9040", "0"))
    code, out, err = outcome(capsys, str(site))
    assert (code, out) == (65, "")
    assert err.startswith(f"{site}:4:")


def test_a_site_file_that_is_not_there_exits_65(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = outcome(capsys, str(tmp_path / "none.yaml"))
    assert (code, out) == (65, "")
    assert err.startswith(f"{tmp_path / 'none.yaml'}: ")


@pytest.mark.lab
@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_reader_that_goes_away_stops_nothing(stream: str) -> None:
    arguments = {"1": "--destroy --dry-run", "2": "/nonexistent"}[stream]
    program = f"{sys.executable} -m netplan_tproxy {arguments}"
    line = f"{program} {stream}>&1 | true; echo ${{PIPESTATUS[0]}}"
    if stream == "2":
        line = line.replace("2>&1", "2>&1 >/dev/null")
    done = subprocess.run(
        ["bash", "-c", f"sleep 0; {line}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == {"1": "0\n", "2": "65\n"}[stream]
    assert done.stderr == ""


@pytest.mark.lab
@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&-", "1>&- 2>&-"])
def test_closed_streams_stop_nothing(closed: str) -> None:
    line = f"{sys.executable} -m netplan_tproxy --destroy --check {closed}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_without_root_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["setpriv", "--bounding-set=-all", sys.executable, "-m", "netplan_tproxy", "--destroy"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert capsys.readouterr() == ("", "")
