"""Completion in the real shells: every option is offered, and every value that is known."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.cli.arguments import parser
from netplan_tproxy.output.completion import arguments, script
from tests.lab.needed import need
from tests.lab.patience import LONG, PATIENCE

SHELLS = ["bash", "zsh", "fish"]
LONG_OPTIONS = [name for one in arguments(parser()) for name in one.names if name.startswith("--")]
PROG = "tproxy-apply"


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, and a place with things to complete."""
    made = tmp_path_factory.mktemp("completion")
    for shell in SHELLS:
        (made / shell).write_text(script(parser(), shell))
    place = made / "place"
    (place / "deeper").mkdir(parents=True)
    for name in ("site.yaml", "other.yml", "notes.txt"):
        (place / name).touch()
    return made


def offered(shell: str, scripts: Path, line: str) -> set[str]:
    """What a shell offers for the last word of a line."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](scripts, line)


def _run(scripts: Path, words: list[str]) -> str:
    done = subprocess.run(
        words, cwd=scripts / "place", capture_output=True, text=True, check=True, timeout=LONG,
        env={**os.environ, "HOME": str(scripts), "XDG_CONFIG_HOME": str(scripts)},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def _bash(scripts: Path, line: str) -> set[str]:
    # Words as readline has them: '=' is one.
    words = re.sub(r"(\S)=", r"\1 = ", line).split(" ")
    listed = " ".join(f"'{word}'" for word in words)
    code = (
        f"source ../bash; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; "
        f"_tproxy_apply; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    return set(_run(scripts, ["bash", "--norc", "-c", code]).split())


def _fish(scripts: Path, line: str) -> set[str]:
    need("fish")
    out = _run(scripts, ["fish", "--no-config", "-c", f"source ../fish; complete -C '{line}'"])
    return {entry.split("\t")[0].rpartition("=")[2] for entry in out.splitlines()}


def _zsh(scripts: Path, line: str) -> set[str]:
    """Type the line into an interactive shell, and list instead of completing."""
    need("zsh")
    (scripts / "_tproxy-apply").write_text((scripts / "zsh").read_text())
    setup = scripts / ".zshrc"
    setup.write_text(
        "PS1= PS2= RPS1=; unsetopt prompt_cr prompt_sp; fpath=($HOME $fpath)\n"
        "autoload -U compinit; compinit -D -u\n"
        "zstyle ':completion:*' verbose false; LISTMAX=99999; unsetopt beep\n"
        "bindkey '^T' list-choices; print READY\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(scripts / "place")
        environment = {
            **os.environ, "ZDOTDIR": str(scripts), "HOME": str(scripts), "TERM": "dumb",
            "COLUMNS": "400", "LINES": "400",
        }  # fmt: skip
        os.execvpe("zsh", ["zsh", "-d", "-i"], environment)  # noqa: S606
    try:
        _until(terminal, "READY")
        os.write(terminal, b"stty cols 400 rows 400; print GO''ON\n")
        _until(terminal, "GOON")
        os.write(terminal, line.encode() + b"\x14")
        # A key that is hit before it is done would break it off, so there is only waiting:
        # longer, where a busy machine has shown nothing yet.
        found: set[str] = set()
        seen = ""
        for patience in (0.4, 1.5):
            seen += _until_quiet(terminal, patience)
            found = _words(seen, line)
            if found:
                break
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)
    return found


def _words(seen: str, line: str) -> set[str]:
    """What stands on the terminal besides what was typed."""
    plain = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", " ", seen)
    return {word.rpartition("=")[2] for word in plain.split()} - {"^T", "", *line.split()}


def _until(terminal: int, token: str) -> None:
    """Read until a token comes."""
    seen = ""
    deadline = time.monotonic() + PATIENCE
    while token not in seen and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace")
    assert token in seen


def _until_quiet(terminal: int, seconds: float) -> str:
    seen = ""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and select.select([terminal], [], [], seconds)[0]:
        seen += os.read(terminal, 65536).decode(errors="replace")
    return seen.replace("\r", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_long_option_is_offered(shell: str, scripts: Path) -> None:
    assert set(LONG_OPTIONS) <= offered(shell, scripts, f"{PROG} --")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("between", [" ", "="])
def test_choices_are_offered_and_nothing_else(shell: str, between: str, scripts: Path) -> None:
    assert offered(shell, scripts, f"{PROG} --color{between}") == {"auto", "always", "never"}


@pytest.mark.parametrize("shell", SHELLS)
def test_site_files_are_offered_as_the_argument(shell: str, scripts: Path) -> None:
    found = {name.rstrip("/") for name in offered(shell, scripts, f"{PROG} ")}
    assert {"site.yaml", "deeper"} <= found
    assert not found & set(LONG_OPTIONS)


@pytest.mark.parametrize("shell", SHELLS)
def test_directories_are_offered_where_one_is_wanted(shell: str, scripts: Path) -> None:
    found = {name.rstrip("/") for name in offered(shell, scripts, f"{PROG} --state-dir ")}
    assert found == {"deeper"}


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_is_offered_for_a_number(shell: str, scripts: Path) -> None:
    assert offered(shell, scripts, f"{PROG} --lock-timeout ") <= {"SECONDS"}


def test_the_option_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in SHELLS:
        assert cli.main(["--completion", shell]) == 0
        assert capsys.readouterr() == (script(parser(), shell), "")
