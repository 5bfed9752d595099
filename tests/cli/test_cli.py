"""The command line: options, exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netplan_tproxy import __version__
from netplan_tproxy.cli import main as cli
from netplan_tproxy.cli.arguments import parsed, parser
from netplan_tproxy.errors import UsageError
from tests.lab import isolate
from tests.lab.effort import is_done_within
from tests.lab.host import Host, unchanged
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
def test_a_wrong_command_line_exits_64_with_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, out, err = outcome(capsys, *arguments)
    assert (code, out) == (64, "")
    assert err.startswith("tproxy-apply: ")
    assert err.count("\n") == 1
    said = json.loads(outcome(capsys, "--json", *arguments)[1])
    assert (said["mode"], said["exit"]) == ("usage", 64)
    message = err.removeprefix("tproxy-apply: ").rstrip("\n")
    nowhere = {"file": None, "line": None, "column": None}
    assert said["errors"] == [{"code": "usage", "message": message, **nowhere}]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--chekc"], "there is no option --chekc: did you mean --check?"),
        (["--dry"], "there is no option --dry: did you mean --dry-run?"),
        (["--sorce=1.1.1.1"], "there is no option --sorce: did you mean --source?"),
        (["-x"], "there is no option -x: --help lists those there are"),
        (["--zzz"], "there is no option --zzz: --help lists those there are"),
        (["a", "b"], "b: one argument too many, as a run takes one site file"),
        (["--state-dir"], "--state-dir needs a value"),
        (["--confirm", "0"], "--confirm: '0' is not a number of seconds from 1 to 86400"),
        (["--check", "--dry-run"], "--dry-run does not go with --check"),
        (["--detach"], "--detach does nothing without --confirm"),
        (["--destroy", "--adopt"], "--adopt does nothing with --destroy"),
        (
            ["--dry-run", "--from", "wan0"],
            "--from does nothing with --dry-run: it goes with --explain",
        ),
        (
            ["--check", "--root", "/x"],
            "--root does nothing with --check: it goes with --install-service",
        ),
        (
            ["--status", "--adopt"],
            (
                "--adopt does nothing with --status: it goes with an apply, --dry-run, --check, "
                "--rollback and --install-service"
            ),
        ),
        (["--watch"], "--watch does nothing with an apply: it goes with --status"),
        (["--mark", "0"], "--mark does nothing with an apply: it goes with --explain"),
    ],
)
def test_the_line_says_what_is_wrong_and_what_is_meant(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert outcome(capsys, *arguments) == (64, "", f"tproxy-apply: {line}\n")


VALUES = {
    "--confirm": "5", "--probe": "true", "--state-dir": "/x", "--lock-timeout": "5",
    "--watch": "5", "--from": "wan0", "--source": "1.1.1.1", "--user": "root",
    "--cgroup": "/", "--mark": "1", "--root": "/x",
}  # fmt: skip
MODES = ["", "--dry-run", "--check", "--commit", "--rollback", "--status", "--explain=1.1.1.1:80",
         "--doctor", "--install-service", "--completion=bash"]  # fmt: skip
EVERYWHERE = {"--help", "--version", "--color", "--verbose"}
OPTIONS = sorted(
    {action.option_strings[-1] for action in parser()._actions if action.option_strings}
    - {mode.partition("=")[0] for mode in MODES}
    - EVERYWHERE
)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_refused_in_some_modes_and_does_something_in_others(option: str) -> None:
    allowed = []
    for mode in MODES:
        words = [*([mode] if mode else []), option, *([VALUES[option]] if option in VALUES else [])]
        extra = ["--confirm", "5"] if option == "--detach" and not mode else []
        try:
            parsed([*words, *extra])
        except UsageError as wrong:
            assert option in str(wrong)  # noqa: PT017 - some modes take it
        else:
            allowed.append(mode)
    assert 0 < len(allowed) < len(MODES)


@pytest.mark.lab
@pytest.mark.bpf
def test_destroy_takes_away_what_the_named_file_describes_and_nothing_else(
    host: Host, tmp_path: Path
) -> None:
    other, same = tmp_path / "other.yaml", tmp_path / "same.yaml"
    other.write_text(SITE.replace("9040", "9041"))
    same.write_text(SITE)
    assert host.run("--destroy", str(other)).out == ["no changes"]
    host.applied()
    with unchanged(host.stare):
        for options in ([], ["--dry-run"], ["--check"]):
            done = host.run("--destroy", str(other), *options)
            assert (done.code, done.out, done.err.count("\n")) == (6, [], 1)
            assert str(other) in done.err
            assert str(host.site) in done.err
        assert host.run("--destroy", str(tmp_path / "none.yaml")).code == 65
    assert host.run("--destroy", str(same)).code == 0
    host.applied()
    host.site.unlink()
    assert host.run("--destroy", str(host.site)).code == 0
    assert host.destroyed().out == ["no changes"]


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


@pytest.mark.parametrize("failure", [SystemError("error return without exception"), MemoryError()])
def test_no_memory_left_to_read_the_command_line_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    def broken(_: object) -> None:
        raise failure

    monkeypatch.setattr(cli, "parsed", broken)
    code, out, err = outcome(capsys, "--commit")
    assert (code, out) == (1, "")
    said = r"tproxy-apply: out of memory \(.+\); everything is as it was before \(.+\)\n"
    assert re.fullmatch(said, err)


def test_an_error_without_root_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["setpriv", "--bounding-set=-all"] if isolate.is_root() else []
    words += [sys.executable, "-m", "netplan_tproxy", "--destroy"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert capsys.readouterr() == ("", "")
