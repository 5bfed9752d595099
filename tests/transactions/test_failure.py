"""Whatever fails half-way, everything is put back, and the exit code says so."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.errors import KernelError
from netplan_tproxy.reconcile.transaction import observe
from netplan_tproxy.state.ledger import LedgerFile
from netplan_tproxy.state.state import State
from tests.lab import diff_snapshots
from tests.lab.host import CHANGES, SITE, STATE, Host, unchanged
from tests.lab.sabotage import raising, refusal, sabotaged

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

RULE = 2  # the number of the rule among the changes of the first apply
OTHER = (
    SITE.replace("9040", "9041")
    + "marks: {intercept: 0x40/0xf0}\n"
    + "route_tables: {101: [{to: default}]}\n"
    + "sysctls: {net.ipv4.ip_default_ttl: 33}\n"
)


def first(host: Host) -> list[str]:
    return [str(host.site)]


def upgrade(host: Host) -> list[str]:
    host.applied()
    host.write(OTHER)
    return [str(host.site)]


def repair(host: Host) -> list[str]:
    host.applied()
    host.pin("maps", "config").unlink()
    host.sh("ip route replace default via 10.77.0.1 dev wan0 mtu 1400 table 100")
    return [str(host.site)]


def destroy(host: Host) -> list[str]:
    host.applied()
    return ["--destroy"]


SCENES: dict[str, tuple[Callable[[Host], list[str]], int]] = {
    "the first apply": (first, CHANGES),
    "an apply of another file": (upgrade, 6),
    "a repair": (repair, 7),
    "a destroy": (destroy, CHANGES),
}


@pytest.mark.parametrize("how", ["refused", "done, yet refused"])
@pytest.mark.parametrize("name", SCENES)
def test_a_failure_at_any_step_is_undone(
    host: Host, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    prepare, changes = SCENES[name]
    arguments = prepare(host)
    before = host.stare()
    message = "tproxy-apply: the kernel says no; everything was put back\n"
    for step in range(changes):
        with sabotaged(monkeypatch, raising(refusal()), step, done=how != "refused"):
            done = host.run(*arguments)
        assert (step, done.code, done.err) == (step, 3, message)
        assert done.total == changes
        assert diff_snapshots(before, host.stare()) == []
    assert host.run(*arguments).code == 0
    assert host.run(*arguments).out == ["no changes"]


def test_a_refusal_of_the_kernel_itself_is_undone(host: Host) -> None:
    host.write(SITE + "sysctls: {net.ipv4.ip_default_ttl: 999}\n")
    with unchanged(host.stare):
        done = host.apply()
    message = "set sysctl net/ipv4/ip_default_ttl to 999: Invalid argument; everything was put back"
    assert (done.code, done.err) == (3, f"tproxy-apply: {message}\n")
    assert not STATE.exists()


def test_a_change_the_kernel_takes_and_then_does_not_show_is_undone(host: Host) -> None:
    # Neighbours are read back as a range.
    host.write(SITE + "sysctls: {net.ipv4.ip_local_reserved_ports: '8080,8081'}\n")
    with unchanged(host.stare):
        done = host.apply()
    assert done.code == 3
    assert "yet differs: ~ sysctl net.ipv4.ip_local_reserved_ports" in done.err


def test_an_undo_that_fails_too_names_what_is_left(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last of the changes fails, and later, of their inverses, the rule's, when it is tried
    # again too.
    steps = (CHANGES - 1, 2 * CHANGES - 1 - RULE, 2 * CHANGES)
    with sabotaged(monkeypatch, raising(refusal()), *steps):
        done = host.apply()
    assert done.code == 4
    assert done.err.startswith(
        "tproxy-apply: the kernel says no; could not put back: - rule 1000: fwmark"
    )
    assert done.err.count("\n") == 1
    left = host.look()
    assert left["filters"] == []
    assert len([line for line in left["rules4"] if "fwmark" in line]) == 1
    done = host.destroyed()
    assert (
        done.out[0] == f"a run was killed after {CHANGES} of its changes: this run takes them over"
    )
    assert not STATE.exists()


def test_every_undo_that_fails_is_named_and_the_others_are_done(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.applied()
    host.write(OTHER)
    before = host.look()
    with sabotaged(monkeypatch, raising(refusal()), *range(5, 18)):
        done = host.apply()
    assert done.code == 4
    for name in (
        "sysctl net.ipv4.ip_default_ttl",
        "route default table 101",
        "rule 1000",
        "config",
    ):
        assert name in done.err
    host.write(SITE)
    host.applied()
    assert diff_snapshots(before, host.look()) == []


def test_when_nothing_can_be_observed_any_more_it_says_so(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = 0

    def blind(*arguments: object) -> object:
        nonlocal seen
        seen += 1
        if seen > 1:
            raise KernelError("blind")
        return observe(*arguments)  # type: ignore[arg-type]

    before = host.stare()
    monkeypatch.setattr("netplan_tproxy.reconcile.transaction.observe", blind)
    done = host.apply()
    monkeypatch.undo()
    assert done == (4, done.out, "tproxy-apply: blind; could not put back: not known what: blind\n")
    host.destroyed()
    assert diff_snapshots(before, host.stare()) == []


@pytest.mark.parametrize("method", ["begin", "intend", "write"])
def test_a_full_state_directory_leaves_everything_as_it_was(
    host: Host, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    target = "netplan_tproxy.state.journal.write_file" if method == "begin" else None
    with unchanged(host.stare), monkeypatch.context() as patch:
        if target:
            patch.setattr(target, lambda *_: raising(full)())
        else:
            owner = LedgerFile if method == "write" else State
            patch.setattr(owner, method, lambda *_: raising(full)())
        done = host.apply()
    outcome = "nothing was touched" if method == "begin" else "everything was put back"
    assert done.code == (1 if method == "begin" else 3)
    assert "No space left on device" in done.err
    assert done.err.endswith(f"; {outcome}\n")
    assert not STATE.exists()


def test_a_bug_is_undone_before_it_shows(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with unchanged(host.stare), sabotaged(monkeypatch, raising(ZeroDivisionError()), 9):
        done = host.apply()
    assert done.code == 1
    assert done.err.startswith("tproxy-apply: ZeroDivisionError; everything is as it was before")
