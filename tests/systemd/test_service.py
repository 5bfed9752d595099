"""The unit: written all or not at all, believed by systemd, and enough for the tool."""

from __future__ import annotations

import configparser
import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.systemd import service
from netplan_tproxy.systemd.networkd import missing
from tests.lab import Lab, diff_snapshots, snapshot, syscalls
from tests.lab.needed import need
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "version: 1\ninterfaces:\n  wan0: {}\n  lan0: {intercept: forward}\nproxy: {port: 9040}\n"
LEAST_EXPOSED = 2.5


def files(root: Path) -> dict[str, str]:
    there = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text() for path in there}


def unit_below(root: Path) -> Path:
    return root / service.UNIT_PATH


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    need("systemd-analyze")
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=30
    )


def test_unit_and_drop_in_are_written_and_what_is_next_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--install-service", "--root", str(tmp_path)]) == 0
    assert set(files(tmp_path)) == {service.UNIT_PATH, service.NETWORKD_PATH}
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        f"+ {tmp_path}/{service.UNIT_PATH}",
        f"+ {tmp_path}/{service.NETWORKD_PATH}",
        f"now run: systemctl --root={tmp_path} enable tproxy-apply.service",
    ]
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*.*e")} == {"0o644"}


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    service.install(str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = service.install(str(tmp_path))
    assert [file.action for file in again.files] == ["keep", "keep"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_one_of_another_version_that_nobody_changed_is_replaced(tmp_path: Path) -> None:
    service.install(str(tmp_path))
    unit = unit_below(tmp_path)
    unit.write_text(service.signed("[Unit]\nDescription=as it was once\n"))
    done = service.install(str(tmp_path))
    assert [(file.action, file.kept_as) for file in done.files] == [("change", ""), ("keep", "")]
    assert "ExecStart" in unit.read_text()


@pytest.mark.parametrize("name", [service.UNIT_PATH, service.NETWORKD_PATH])
@pytest.mark.parametrize("kind", ["changed", "foreign", "link"])
def test_a_file_of_others_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    if kind == "changed":
        path.write_text(service.contents(["x"])[name] + "# my own line\n")
    elif kind == "foreign":
        path.write_text("[Unit]\n")
    else:
        path.symlink_to("/nonexistent")
    before = files(tmp_path)
    assert cli.main(["--install-service", "--root", str(tmp_path)]) == 6
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tproxy-apply: {path}: is not as we wrote it; ")
    assert err.endswith("; nothing was touched\n")
    assert files(tmp_path) == before

    done = service.install(str(tmp_path), adopt=True)
    (kept,) = [file.kept_as for file in done.files if file.kept_as]
    assert Path(kept).is_symlink() or Path(kept).read_text() == before[name]
    assert service.is_ours(path.read_text())


def test_a_place_that_cannot_be_written_is_named_and_left_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/systemd").write_text("a file where a directory should be")
    before = files(tmp_path)
    assert cli.main(["--install-service", "--root", str(tmp_path)]) == 1
    assert str(tmp_path / "etc/systemd") in capsys.readouterr().err
    assert files(tmp_path) == before


def test_a_path_that_would_write_lines_of_its_own_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = "/etc/x.yaml\nExecStartPre=/bin/false"
    assert cli.main(["--install-service", "--root", str(tmp_path), site]) == 1
    assert "can't hold such characters; nothing was touched" in capsys.readouterr().err
    assert files(tmp_path) == {}


@pytest.mark.parametrize("site", ["", '/etc/a b/100%$x\\y".yaml', "/plain.yaml"])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, site: str) -> None:
    service.install(str(tmp_path), site)
    done = analyze("verify", "--man=no", str(unit_below(tmp_path)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_its_exposure_is_small(tmp_path: Path) -> None:
    service.install(str(tmp_path))
    done = analyze("security", "--offline=yes", "--no-pager", str(unit_below(tmp_path)))
    level = re.search(r"exposure level for tproxy-apply.service: ([\d.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) <= LEAST_EXPOSED


def test_it_starts_before_those_who_wait_for_the_network_and_stops_by_destroying() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(service.contents(["/usr/bin/tproxy-apply"])[service.UNIT_PATH])
    assert unit["Unit"]["Before"] == "network.target"
    assert unit["Service"]["ExecStart"] == "/usr/bin/tproxy-apply"
    assert unit["Service"]["ExecStop"] == "/usr/bin/tproxy-apply --destroy"
    assert unit["Service"]["Type"] == "oneshot"


def test_networkd_takes_the_drop_in_for_a_no_to_both() -> None:
    assert missing([service.contents(["x"])[service.NETWORKD_PATH]]) == ()


def test_the_wheel_brings_what_is_installed() -> None:
    from hatchling.builders.wheel import WheelBuilder  # noqa: PLC0415

    inside = {one.distribution_path for one in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {
        f"netplan_tproxy/systemd/data/{Path(name).name}" for name in service.contents(["x"])
    } <= inside


def test_the_wheel_brings_the_manual_pages_where_man_finds_them() -> None:
    from hatchling.builders.wheel import WheelBuilder  # noqa: PLC0415

    shared = WheelBuilder(str(ROOT)).config.shared_data
    names = ("tproxy-apply.8", "tproxy-relay.8")
    pages = {str(ROOT / "docs" / name): f"share/man/man8/{name}" for name in names}
    # And the schema, where docs/site-yaml.md says that an editor finds it.
    assert shared == {**pages, str(ROOT / "schemas"): "share/netplan-tproxy"}
    page = (ROOT / "docs/site-yaml.md").read_text()
    assert "/opt/netplan-tproxy/share/netplan-tproxy/site.schema.json" in page


class Unit:
    """The unit's commands, run in a lab's HOST as confined as the unit says."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.site = folder / "site.yaml"
        self.site.write_text(SITE)
        service.install(str(folder / "root"))
        self.unit = unit_below(folder / "root")

    def run(self, *words: str) -> tuple[int, str, str]:
        confined = [sys.executable, "-m", "tests.systemd.confine", str(self.unit), "--", *words]
        done = self.lab.host.run(confined, check=False, cwd=ROOT)
        return done.returncode, done.stdout, done.stderr

    def apply(self, *options: str) -> tuple[int, str, str]:
        return self.run(sys.executable, "-m", "netplan_tproxy", *options)


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unit]:
    # /tmp is another one inside the unit.
    folder = Path("/run/unit")
    folder.mkdir()
    del tmp_path_factory
    with hidden_mount(Path("/run/hidden")), Lab(lan=True) as lab:
        yield Unit(lab, folder)
    shutil.rmtree(folder)


@contextlib.contextmanager
def hidden_mount(folder: Path) -> Iterator[None]:
    """One that nobody can reach below another, as the machine's own ones below /run are here."""
    below = folder / "below"
    below.mkdir(parents=True)
    syscalls.mount("hidden", str(below), "tmpfs")
    syscalls.mount("hiding", str(folder), "tmpfs")
    yield
    for path in (folder, below):
        syscalls.umount(str(path))
    shutil.rmtree(folder)


@pytest.mark.lab
@pytest.mark.bpf
def test_confined_as_it_is_the_tool_can_do_its_whole_work(unit: Unit) -> None:
    before = snapshot(unit.lab.host)
    code, out, err = unit.apply(str(unit.site))
    assert (code, err) == (0, "")
    assert "0 to remove" in out
    assert unit.apply(str(unit.site))[:2] == (0, "no changes\n")
    unit.site.write_text(SITE.replace("9040", "9041"))
    assert unit.apply(str(unit.site))[0] == 0
    assert unit.apply("--destroy")[0] == 0
    assert diff_snapshots(before, snapshot(unit.lab.host)) == []


@pytest.mark.lab
@pytest.mark.parametrize(
    "forbidden",
    [
        "touch /etc/x",
        "touch /run/x",
        "echo 0 >/proc/sys/kernel/panic",
        "unshare --net true",
        "mount -t tmpfs none /mnt",
        "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
        "python3 -c 'import os; os.chown(\"/run/netplan-tproxy\", 1, 1)'",
    ],
)
def test_confined_as_it_is_it_can_do_little_else(unit: Unit, forbidden: str) -> None:
    """What shows, too, that the confinement of these tests is one."""
    assert unit.run("sh", "-c", f"{forbidden} 2>/dev/null")[0] != 0
    assert unit.run("sh", "-c", "true")[0] == 0


def test_what_is_next_on_this_host_fits_what_was_changed(tmp_path: Path) -> None:
    enable = "systemctl enable --now tproxy-apply.service"
    first = service.install(str(tmp_path)).files
    assert service._following("/", first) == (
        "systemctl daemon-reload",
        "systemctl try-restart systemd-networkd.service",
        enable,
    )
    assert service._following("/", ()) == (enable,)


def test_the_report_is_json(tmp_path: Path) -> None:
    done = service.install(str(tmp_path))
    body = json.loads(json.dumps(done.as_json()))
    assert [file["action"] for file in body["files"]] == ["add", "add"]
    assert body["next"][-1].endswith("enable tproxy-apply.service")
