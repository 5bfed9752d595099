"""An environment that somebody else has prepared, as `sudo -E` passes it on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.kernel.bpf import compiler
from netplan_tproxy.systemd import service
from tests.lab.host import SITE, Host

if TYPE_CHECKING:
    from tests.lab import Lab

PROGRAMS = (
    "nft", "iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save",
    "getent", "tproxy-apply", "ping", "ip", "tc", "sysctl", "mount", "systemctl", "sh",
)  # fmt: skip


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """A folder for PATH whose programs leave a mark: ``ran``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        trap = folder / name
        trap.write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/ran\nexit 1\n")
        trap.chmod(0o755)
    return folder


def ran(tmp_path: Path) -> list[str]:
    mark = tmp_path / "ran"
    return sorted(set(mark.read_text().split())) if mark.exists() else []


@pytest.mark.lab
@pytest.mark.bpf
def test_no_program_that_path_names_is_run(
    host: Host, traps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(traps))
    host.write(SITE + "checks: [{dns: localhost}, {ping: 127.0.0.1}]\n")
    # Tables of the old iptables, so that their tools are asked for too.
    done = [host.run("--doctor", str(host.site)), host.apply("--confirm", "1"), host.apply()]
    assert [one.code for one in done[1:]] == [3, 0]
    monkeypatch.undo()
    assert "fails already" not in "".join(done[2].out)
    assert ran(tmp_path) == []


def test_the_unit_runs_no_program_that_path_names(
    traps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(traps))
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert str(traps) not in " ".join(service.command())


@pytest.mark.bpf
def test_the_compiler_is_told_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {
        "BCC_KERNEL_SOURCE": "/evil", "BCC_LINUX_VERSION_CODE": "1", "CPATH": "/evil",
        "C_INCLUDE_PATH": "/evil", "TMPDIR": "/evil", "CCC_OVERRIDE_OPTIONS": "+-DEVIL",
    }  # fmt: skip
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    told: dict[str, str] = {}

    class Bcc:
        @staticmethod
        def BPF(**_: Any) -> None:  # noqa: N802 - bcc's name
            told.update(os.environ)
            raise RuntimeError("that will do")

    monkeypatch.setattr(compiler, "_bcc", lambda: Bcc)
    before = dict(os.environ)
    with pytest.raises(TproxyError, match="that will do"):
        compiler.compile_programs("", headers="/ours", defines={}, functions=["a test's own"])
    assert "/evil" not in told.values()
    assert told.keys() & hostile.keys() == {"BCC_KERNEL_SOURCE"}
    assert told["BCC_KERNEL_SOURCE"] == "/ours"
    assert dict(os.environ) == before


@pytest.mark.lab
@pytest.mark.bpf
def test_no_temporary_directory_is_needed(host: Host) -> None:
    prefix = ("env", "TMPDIR=/nowhere", "TEMP=/nowhere", "TMP=/nowhere")
    done = host.spawn(str(host.site), prefix=prefix)
    assert (done.code, done.err) == (0, "")


@pytest.mark.lab
def test_an_isolated_interpreter_reads_no_module_of_others(lab: Lab, tmp_path: Path) -> None:
    for name in ("yaml", "pyroute2", "argparse", "sitecustomize", "netplan_tproxy"):
        mark = f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n"
        (tmp_path / f"{name}.py").write_text(mark + "raise SystemExit(99)\n")
    words = [sys.executable, "-I", "-m", "netplan_tproxy", "--check", "/nonexistent"]
    done = lab.host.run(
        ["env", f"PYTHONPATH={tmp_path}", *words], check=False, cwd=tmp_path
    )  # fmt: skip
    assert done.returncode not in {0, 99}
    assert "/nonexistent" in done.stderr
    assert ran(tmp_path) == []
