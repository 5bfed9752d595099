"""How a run ends, and what it says of that: what has become of the host, whatever ended it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.errors import KernelError
from netplan_tproxy.reconcile import transaction
from netplan_tproxy.state.state import State
from tests.confirm.support import awaiting, ended, is_as, watchdog_of
from tests.lab.host import SITE, Host, unchanged
from tests.lab.patience import eventually
from tests.lab.sabotage import raising, sabotaged
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def signalled(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_after_the_commit_comes_too_late(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    settle = transaction.settle

    def late(*arguments: object) -> None:
        signalled(number)
        settle(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "settle", late)
        done = host.apply()
    assert (done.code, done.err) == (0, "")
    assert host.apply("--check").is_as_the_file_says


def test_what_fails_after_the_commit_is_named_and_done_by_the_next_run(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "settle", lambda *_: raising(KernelError("unpin x: EIO"))())
        done = host.apply()
    said = "tproxy-apply: unpin x: EIO; everything else was done: run again to do this too\n"
    assert (done.code, done.err) == (4, said)
    settled = []
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "settle", lambda *_: settled.append(1))
        assert host.applied().out == ["no changes"]
    assert settled


def test_a_descriptor_that_cannot_be_closed_hides_no_outcome(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Kernel.close

    def closed_with_an_error(kernel: Kernel) -> None:
        close(kernel)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "close", closed_with_an_error)
        done = host.apply()
    assert done.code == 4
    assert "Input/output error; the change was made before that and stays" in done.err
    assert host.apply("--check").is_as_the_file_says


def test_running_out_of_memory_half_way_is_undone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unchanged(host.stare), sabotaged(monkeypatch, raising(MemoryError()), 7):
        done = host.apply()
    said = "tproxy-apply: out of memory; everything was put back\n"
    assert (done.code, done.err) == (3, said)


def test_a_signal_is_an_error_of_the_document(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with unchanged(host.stare):
        with sabotaged(monkeypatch, lambda: signalled(signal.SIGTERM), 5):
            done = host.apply("--json")
    document = json.loads("\n".join(done.out))
    assert (done.code, document["exit"]) == (143, 143)
    (error,) = document["errors"]
    assert error["code"] == "interrupted"
    assert error["message"] == "interrupted; everything is as it was before"


def test_a_hangup_while_a_change_waits_says_that_it_waits(host: Host) -> None:
    before = host.look()
    with awaiting(host, 600) as run:
        run.send_signal(signal.SIGHUP)
        code, said = ended(run)
        assert code == 129
        assert said.endswith(
            "interrupted; the change is made, and goes back unless it is confirmed: "
            "tproxy-apply --commit\n"
        )
        assert watchdog_of(host)
    eventually(lambda: is_as(host, before))


def test_a_pending_change_goes_back_when_the_state_directory_is_removed(host: Host) -> None:
    before = host.look()
    with awaiting(host, 600) as run:
        shutil.rmtree(host.state)
        code, said = ended(run)
    assert (code, said) == (3, "tproxy-apply: not confirmed in time; everything was put back\n")
    assert is_as(host, before)


def test_a_held_lock_delays_the_way_back_and_does_not_end_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    monkeypatch.setattr("netplan_tproxy.commands.held.LOCK_TIMEOUT", 0.2)
    with host.namespace.entered():
        child = os.fork()
        if child == 0:
            try:
                host.run(str(host.site), "--confirm", "1")
            finally:
                os._exit(0)
    eventually(lambda: watchdog_of(host) != 0)
    with (host.state / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        time.sleep(2)
        assert not is_as(host, before)
    eventually(lambda: is_as(host, before))
    os.waitpid(child, 0)


def test_a_confirmed_change_stays_whatever_is_applied_next(host: Host) -> None:
    with awaiting(host, 600) as run:
        watchdog = watchdog_of(host)
        os.kill(watchdog, signal.SIGSTOP)  # it sees nothing of what follows until the end
        assert host.run("--commit").code == 0
        run.wait(30)
        host.write(SITE + "sysctls: {net.ipv4.ip_default_ttl: 33}\n")
        host.applied()
        os.kill(watchdog, signal.SIGCONT)
        eventually(lambda: not _runs(watchdog))
    assert host.apply("--check").is_as_the_file_says


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupt_while_modules_are_imported_is_no_traceback() -> None:
    code = (
        "import netplan_tproxy.cli.entry, os, signal; os.kill(os.getpid(), signal.SIGINT); "
        "raise SystemExit(7)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_the_ledger_is_committed_by_its_rename_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "netplan_tproxy.state.store.sync_directory", lambda _: raising(OSError(5, "EIO"))()
        )
        assert host.apply().code == 0
    assert host.apply("--check").is_as_the_file_says
    host.destroyed()


def test_a_journal_that_stays_after_a_destroy_says_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    host.write(SITE + "sysctls: {net.ipv4.ip_default_ttl: 33}\n")
    host.applied()
    with monkeypatch.context() as patch:
        patch.setattr(State, "abandon", lambda _: None)
        host.destroyed()
    assert (host.state / "journal.jsonl").exists()
    assert host.run("--destroy").out == ["no changes"]
    assert is_as(host, before)


def test_a_fifo_in_place_of_the_journal_is_refused_at_once(host: Host, tmp_path: Path) -> None:
    host.applied()
    os.mkfifo(host.state / "journal.jsonl", 0o600)
    done = host.apply("--check")
    assert done.code == 1
    assert "journal.jsonl: damaged" in done.err
    (host.state / "journal.jsonl").unlink()
    del tmp_path


def test_two_state_directories_do_not_interleave_over_one_namespace(
    host: Host, tmp_path: Path
) -> None:
    other = tmp_path / "state"
    host.applied()
    with (host.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = host.apply("--state-dir", str(other), "--lock-timeout", "0")
    assert done.code == 5


def test_what_a_probe_leaves_behind_ends_with_it(host: Host, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    host.applied()
    host.write(SITE + "sysctls: {net.ipv4.ip_default_ttl: 33}\n")
    assert host.apply("--probe", f"sleep 333 & echo $! >{pid}").code == 0
    eventually(lambda: not _runs(int(pid.read_text())))


def test_apply_and_destroy_side_by_side_never_miss_their_own_directory(host: Host) -> None:
    script = (
        'for _ in 1 2 3; do "$@" >/dev/null || exit; "$0" -m netplan_tproxy --destroy '
        ">/dev/null || exit; done"
    )
    words = host.popen_words(str(host.site), "--lock-timeout", "100")
    running = [
        host.namespace.popen(["sh", "-c", script, words[0], *words], cwd=ROOT, stderr=-1)
        for _ in range(2)
    ]
    for child in running:
        _, err = child.communicate(timeout=110)
        assert (child.returncode, err) == (0, "")
