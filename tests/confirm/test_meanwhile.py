"""What others do while a change waits for confirmation stays theirs when it goes back."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.confirm.support import awaiting, ended, watchdog_of
from tests.lab import diff_snapshots
from tests.lab.foreign import put_other_program
from tests.lab.host import SITE, Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab import Snapshot

    Back = Callable[..., tuple[Snapshot, Snapshot]]

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

THEIR_FILTER = "tc filter add dev wan0 egress prio 7 protocol all bpf bytecode"
TTL = "sysctls: {net.ipv4.ip_default_ttl: 33}\n"
CHANGED = "changed by somebody else since"


def by_the_watchdog(
    host: Host, meanwhile: Callable[[], object], kept: str, *options: str
) -> tuple[Snapshot, Snapshot]:
    """What there is once ``meanwhile`` has happened, and the change was taken back."""
    outcome = f"everything was put back, except {kept}"
    with awaiting(host, 30, *options) as run:
        meanwhile()
        during = host.look()
        assert host.run("--rollback").out == [outcome]
        assert ended(run) == (3, f"tproxy-apply: not confirmed in time; {outcome}\n")
    return during, host.look()


def by_the_next_run(
    host: Host, meanwhile: Callable[[], object], kept: str, *options: str
) -> tuple[Snapshot, Snapshot]:
    """The same, where the watchdog was killed."""
    thing, _, why = kept.rpartition(": ")
    with awaiting(host, 30, *options) as run:
        os.kill(watchdog_of(host), signal.SIGKILL)
        meanwhile()
        during = host.look()
        done = host.run("--rollback")
        assert done.code == 0
        assert any(thing in line and line.endswith(why) for line in done.out)
        assert ended(run)[0] in {3, 4}
    return during, host.look()


@pytest.fixture(params=[by_the_watchdog, by_the_next_run], ids=["watchdog", "next run"])
def gone_back(request: pytest.FixtureRequest) -> Back:
    return request.param  # type: ignore[no-any-return]


def beside_ours(host: Host) -> None:
    """A classic BPF program at a prio of its own."""
    host.namespace.run([*THEIR_FILTER.split(), "1,6 0 0 0,", "flowid", "1:1"])


def test_a_filter_that_others_put_beside_ours_stays(host: Host, gone_back: Back) -> None:
    before = host.look()
    kept = "qdisc at the ingress of wan0: carries filters of others"
    during, after = gone_back(host, lambda: beside_ours(host), kept)
    theirs = [line for line in during["filters"] if " pref 7 " in line]
    assert theirs
    assert after["filters"] == theirs
    host.sh("tc qdisc del dev wan0 clsact")
    assert diff_snapshots(before, host.look()) == []


def test_a_filter_that_others_put_in_place_of_ours_stays(host: Host, gone_back: Back) -> None:
    host.sh("tc qdisc add dev wan0 clsact")
    kept = f"filter wan0 egress: {CHANGED}"
    during, after = gone_back(host, lambda: put_other_program(host, "theirs"), kept)
    theirs = [line for line in during["filters"] if " theirs " in line]
    assert theirs
    assert [line for line in after["filters"] if " handle " in line] == theirs
    host.sh("tc qdisc del dev wan0 clsact")


def test_what_was_adopted_and_replaced_by_others_is_not_kept(host: Host, gone_back: Back) -> None:
    host.sh("tc qdisc add dev wan0 clsact")
    put_other_program(host, "first")
    before = host.look()
    kept = f"filter wan0 egress: {CHANGED}"
    _, after = gone_back(host, lambda: put_other_program(host, "second"), kept, "--adopt")
    assert [line for line in after["filters"] if " second " in line]
    assert after["bpffs"] == before["bpffs"]
    host.sh("tc qdisc del dev wan0 clsact")


def test_a_sysctl_that_others_set_stays_as_they_set_it(host: Host, gone_back: Back) -> None:
    host.write(SITE + TTL)
    kept = f"sysctl net.ipv4.ip_default_ttl: {CHANGED}"
    gone_back(host, lambda: host.sh("sysctl -qw net.ipv4.ip_default_ttl=77"), kept)
    assert host.namespace.sysctl("net.ipv4.ip_default_ttl") == "77"


def test_a_route_that_others_put_in_place_of_ours_stays(host: Host, gone_back: Back) -> None:
    theirs = "ip route replace blackhole default table 100"
    kept = f"route default table 100: {CHANGED}"
    gone_back(host, lambda: host.sh("ip route del default table 100", theirs), kept)
    assert host.sh("ip route show table 100").startswith("blackhole default")
    host.sh("ip route flush table 100")


def test_what_was_ours_before_and_is_theirs_now_stays_too(host: Host, gone_back: Back) -> None:
    host.write(SITE + TTL)
    host.applied()
    host.write(SITE + TTL.replace("33", "34"))
    kept = f"sysctl net.ipv4.ip_default_ttl: {CHANGED}"
    gone_back(host, lambda: host.sh("sysctl -qw net.ipv4.ip_default_ttl=77"), kept)
    assert host.namespace.sysctl("net.ipv4.ip_default_ttl") == "77"
    host.write(SITE + TTL)
    assert "77 → 33" in "\n".join(host.apply("--dry-run").out)


def test_what_the_change_never_touched_is_not_put_back_with_it(host: Host, gone_back: Back) -> None:
    host.write(SITE + TTL)
    host.applied()
    host.write(SITE + TTL.replace("}", ", net.ipv4.conf.wan0.tag: 5}"))
    theirs = "sysctl -qw net.ipv4.ip_default_ttl=77 net.ipv4.conf.wan0.tag=9"
    gone_back(host, lambda: host.sh(theirs), f"sysctl net.ipv4.conf.wan0.tag: {CHANGED}")
    assert host.namespace.sysctl("net.ipv4.ip_default_ttl") == "77"


def test_a_change_that_fails_its_check_says_what_is_left_to_others(
    host: Host, tmp_path: Path
) -> None:
    script = tmp_path / "check"
    script.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/asked ] || exec touch {tmp_path}/asked\n"
        f"{THEIR_FILTER} '1,6 0 0 0,' flowid 1:1\nexit 1\n"
    )
    script.chmod(0o700)
    done = host.apply("--probe", str(script))
    assert done.code == 3
    kept = "qdisc at the ingress of wan0: carries filters of others"
    assert done.err.endswith(f"everything was put back, except {kept}\n")
    filters = host.look()["filters"]
    assert filters
    assert [line for line in filters if " pref 7 " not in line] == []
    host.sh("tc qdisc del dev wan0 clsact")
