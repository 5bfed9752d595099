"""A site file that somebody hostile wrote, and one that somebody else may write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import load

if TYPE_CHECKING:
    from tests.lab.host import Host

USER = 65534
PLAIN = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"


@pytest.mark.parametrize(
    "line",
    [
        # A setting that is not the network's, by any way to write it.
        "sysctls: {kernel.core_pattern: '|/bin/sh'}",
        "sysctls: {net/../kernel/core_pattern: '|/bin/sh'}",
        "sysctls: {net.ipv4.conf.all.rp_filter/../../../../../kernel/core_pattern: 1}",
        "sysctls: {/proc/sys/kernel/core_pattern: 1}",
        'sysctls: {net.ipv4.ip_forward: "1\\n0"}',
        # A cgroup outside cgroup2.
        "bypass: {cgroups: ['/../../etc']}",
        "fastpath: {enabled: true, cgroup: /../etc}",
        # A command, and words that a program would take for one or for an option.
        "checks: [{command: 'touch /tmp/x'}]",
        "checks: [{dns: '-x'}]",
        "checks: [{dns: 'a;touch /tmp/x'}]",
        "checks: [{ping: '$(touch /tmp/x)'}]",
        # A file that never ends, or acts when it is read.
        "bypass: {to_files: [/dev/zero]}",
        "bypass: {to_files: [/dev/watchdog]}",
        "bypass: {users: ['../x']}",
    ],
)
def test_it_can_say_no_more_than_its_language(tmp_path: Path, line: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(PLAIN + line + "\n")
    with pytest.raises(SiteError):
        load(str(path))


@pytest.mark.lab
@pytest.mark.parametrize("whose", ["its owner", "its mode", "its directory"])
def test_the_doctor_says_who_else_may_write_it(host: Host, tmp_path: Path, whose: str) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    path = folder / "site.yaml"
    path.write_text(PLAIN)

    def said() -> str:
        return " ".join(" ".join(host.run("--doctor", str(path)).out).split())

    assert f"{path}: site" in said()
    assert "decides what root does" not in said()
    if whose == "its owner":
        os.chown(path, USER, USER)
    elif whose == "its mode":
        path.chmod(0o666)
    else:
        os.chown(folder, USER, USER)
    assert "whoever can write it decides what root does here" in said()
