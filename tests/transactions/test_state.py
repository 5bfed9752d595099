"""The state directory: private, of this boot, and never trusted blindly."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab import diff_snapshots
from tests.lab.host import STATE, Host, unchanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def ledger(host: Host) -> Path:
    return host.state / "ledger.json"


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_it_is_private_whatever_the_umask(host: Host) -> None:
    before = os.umask(0)
    try:
        host.applied()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (STATE, host.state)}
    assert set(modes.values()) == {0o700}
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in host.state.iterdir()}
    assert files == {"ledger.json": 0o600, "lock": 0o600}


DAMAGES: dict[str, str] = {
    "empty object": "{}",
    "no JSON": "{{{",
    "not an object": "[]",
    "not text": "\udcff\udcfe",
    "cut short": "CUT",
    "another format": "FORMAT",
    "an unknown kind": "KIND",
    "a field too many": "FIELD",
    "owned is no list": "OWNED",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_ledger_is_refused_with_what_to_do(host: Host, name: str) -> None:
    before = host.look()
    host.applied()
    path = ledger(host)
    text = path.read_text()
    damaged = {
        "CUT": text[: len(text) // 2],
        "FORMAT": text.replace('"format": 1', '"format": 2'),
        "KIND": text.replace('"kind": "rule"', '"kind": "ruler"'),
        "FIELD": text.replace('"kind": "rule"', '"kind": "rule", "more": 1'),
        "OWNED": text[: text.index('"owned"')] + '"owned": 7}',
    }.get(DAMAGES[name], DAMAGES[name])
    path.write_bytes(damaged.encode(errors="surrogateescape"))
    for arguments in ([str(host.site)], ["--destroy"], [str(host.site), "--check"]):
        with unchanged(host.stare_at_bytes):
            done = host.run(*arguments)
        assert (done.code, done.out) == (1, [])
        assert done.err.startswith(f"tproxy-apply: {path}: damaged, or of another version; move")
        assert done.err.count("\n") == 1
    path.unlink()
    host.destroyed()
    left = diff_snapshots(before, host.look())
    # What nothing but the ledger knows to be ours.
    assert {line.split()[0] for line in left} == {"qdiscs:", "sysctls:"}


def test_a_ledger_of_another_boot_says_nothing(host: Host) -> None:
    host.applied()
    rewrite(ledger(host), lambda values: values.update(boot="0-0-0"))
    done = host.destroyed()
    assert not [line for line in done.out if "sysctl" in line]
    assert not STATE.exists()


def test_a_journal_of_another_boot_says_nothing(host: Host) -> None:
    host.applied()
    journal = host.state / "journal.jsonl"
    header = {"format": 1, "boot": "0-0-0", "run": "1", "changes": [[None, None]]}
    journal.write_text(json.dumps(header) + "\n0\n")
    assert host.applied().out == ["no changes"]
    assert not journal.exists()


@pytest.mark.parametrize("text", ["[]\n0\n", "{}\n0\n", "nonsense\n0\n"])
def test_a_damaged_journal_is_kept_aside_and_not_trusted(host: Host, text: str) -> None:
    host.applied()
    journal = host.state / "journal.jsonl"
    header = json.loads(ledger(host).read_text())
    if text.startswith("{}"):
        text = json.dumps({**header, "run": "x", "changes": 7}) + "\n0\n"
    journal.write_text(text)
    with unchanged(host.stare):
        looked = host.apply("--dry-run")
    assert looked.code == 1
    assert f"{journal}: damaged, or of another version" in looked.err
    said = host.applied().out
    (aside,) = host.state.glob("journal.damaged-*")
    assert said == [
        (
            f"the journal of the last run is damaged: kept as {aside} and not trusted; "
            "what carries our sign is found without it"
        ),
        "no changes",
    ]
    assert aside.read_text() == text
    assert not journal.exists()
    aside.unlink()


def test_a_journal_cut_short_in_its_header_means_that_nothing_was_begun(host: Host) -> None:
    host.applied()
    (host.state / "journal.jsonl").write_text('{"format": 1, "bo')
    assert host.applied().out == ["no changes"]
    assert sorted(path.name for path in host.state.iterdir()) == ["ledger.json", "lock"]


@pytest.mark.parametrize("name", ["ledger.json", "lock", "journal.jsonl"])
def test_a_symlink_in_place_of_a_file_is_refused(host: Host, tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    host.applied()
    (host.state / name).unlink(missing_ok=True)
    (host.state / name).symlink_to(target)
    with unchanged(host.look):
        done = host.run("--destroy")
    assert done.code == 1
    assert f"{host.state / name}: Too many levels of symbolic links" in done.err
    assert target.read_text() == "precious"
    (host.state / name).unlink()


def test_a_symlink_in_place_of_the_directory_is_refused(host: Host, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    with unchanged(host.look):
        done = host.apply("--state-dir", str(link))
    assert done.code == 1
    assert done.err == (
        f"tproxy-apply: state directory {link}: not ours alone; nothing was touched\n"
    )
    assert list(elsewhere.iterdir()) == []


def test_a_directory_others_can_write_to_is_refused(host: Host, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    host.apply("--state-dir", str(shared))
    shared.chmod(0o777)
    for option in ("--check", "--lock-timeout=1"):
        done = host.apply("--state-dir", str(shared), option)
        assert (done.code, "not ours alone" in done.err) == (1, True)
    shared.chmod(0o700)
    assert host.run("--destroy", "--state-dir", str(shared)).code == 0
    assert not shared.exists()


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null", "no/parent"])
def test_a_directory_that_cannot_be_made_is_refused(host: Host, place: str) -> None:
    with unchanged(host.look):
        done = host.apply("--state-dir", place)
    assert done.code == 1
    assert done.err.startswith(f"tproxy-apply: state directory {place}")
    assert done.err.endswith("nothing was touched\n")
