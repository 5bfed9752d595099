"""A change that a run of another version has made, and whose watchdog is of that version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.state.pending import NAME, PendingFile
from netplan_tproxy.state.store import Store
from netplan_tproxy.system.process import Process

pytestmark = pytest.mark.lab


def test_what_that_wrote_stays_but_for_the_deadline(tmp_path: Path) -> None:
    """Or its watchdog could not read it, and would not put the change back."""
    store = Store(str(tmp_path), 1)
    file = PendingFile(store, all_kinds())
    with store.lock(1, lambda: None):
        file.write("0123", 5000.0, Process(1, 2), {}, None)
        path = store.path(NAME)
        written = {**json.loads(path.read_text()), "theirs": [{"of another version": True}]}
        path.write_text(json.dumps(written))
        file.end_time()
        assert json.loads(path.read_text()) == {**written, "deadline": 0.0}
        file.remove()
        file.end_time()
        assert not path.exists()
