"""What an earlier version has written down of its own ``config``, which had another size."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from netplan_tproxy.datapath.layouts import CONFIG
from netplan_tproxy.kernel.bpf import maps
from tests.lab import diff_snapshots
from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

KEY = bytes(4)
OLDER = replace(CONFIG, value_size=CONFIG.value_size - 8)
ONE, TWO = bytes(OLDER.value_size), b"\1" * OLDER.value_size


def become_older(host: Host) -> None:
    """Turn what is applied into what the earlier version had; its config is ``TWO``."""
    current = host.pin("maps", "config")
    with maps.create_map(OLDER) as fd:
        maps.update(fd, KEY, TWO)
        maps.pin(fd, str(current.with_name(OLDER.pin)))
    current.unlink()
    ledger = host.state / "ledger.json"
    text = ledger.read_text().replace(CONFIG.pin, OLDER.pin)
    values = json.loads(text)
    for entry in values["owned"]:
        if entry["ours"]["kind"] == "config":
            entry["ours"]["packed"] = ONE.hex()
    ledger.write_text(json.dumps(values))


def cut_short(host: Host) -> None:
    """As if a run was killed when it had replaced ``ONE`` by ``TWO``."""
    stamp = json.loads((host.state / "ledger.json").read_text())
    ends = [{"kind": "config", "packed": packed.hex()} for packed in (ONE, TWO)]
    header = {name: stamp[name] for name in ("format", "boot")}
    journal = json.dumps({**header, "run": "0123456789abcdef", "changes": [ends]})
    (host.state / "journal.jsonl").write_text(f"{journal}\n0\n")
    (host.state / "journal.jsonl").chmod(0o600)


def test_a_run_that_was_killed_is_taken_back(host: Host) -> None:
    before = host.look()
    host.applied()
    become_older(host)
    cut_short(host)
    run = host.run("--rollback")
    assert run.code == 0, run.err
    older = host.pin("maps", "config")
    assert older.name == OLDER.pin
    with maps.open_pinned(str(older)) as fd:
        assert maps.entry(fd, KEY) == ONE
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []


@pytest.mark.parametrize("killed", [False, True])
def test_it_is_taken_over_and_destroyed(host: Host, *, killed: bool) -> None:
    before = host.look()
    host.applied()
    become_older(host)
    if killed:
        cut_short(host)
    host.applied()
    assert host.pin("maps", "config").name == CONFIG.pin
    assert host.applied().total == 0
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []
