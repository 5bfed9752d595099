"""A host with systemd-networkd is told what it would do to ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

TOLD = (
    "! systemd-networkd removes what others put there when it restarts: set "
    "ManageForeignRoutes=no below [Network] in /etc/systemd/networkd.conf"
)


def test_who_runs_networkd_is_told_both_settings_when_something_changes(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "netplan_tproxy.commands.apply.removes_foreign", lambda: ("ManageForeignRoutes",)
    )
    assert TOLD in host.applied().out
    assert host.applied().out == ["no changes"]
    assert TOLD not in host.destroyed().out
