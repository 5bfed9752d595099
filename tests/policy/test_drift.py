"""What somebody else does to a set is noticed and repaired, or cannot be done at all."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.layouts import SET, SETS
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.site.model import Policy
from tests.lab import cgroups
from tests.lab.cgroups import cgroup, directory
from tests.lab.sabotage import raising, sabotaged
from tests.policy.probes import Probe
from tests.policy.support import PolicyHost, networks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

NAMED = Policy(bypass_to=networks("20.1.0.0/16"))
PROBE = Probe(to="20.1.2.3")


def the_pin(host: PolicyHost) -> Path:
    (pin,) = (host.pins / "sets").glob("*")
    return pin


def key(host: PolicyHost) -> bytes:
    return struct.pack("=Q", int(the_pin(host).name, 16))


def outer(host: PolicyHost) -> Fd:
    return bpf_maps.open_pinned(str(host.pins / "maps" / SETS.pin))


def another_set() -> Fd:
    spec = MapSpec("set", SET.type, SET.key_size, SET.value_size, 1, SET.flags)
    return bpf_maps.create_map(spec)


def unpinned(host: PolicyHost) -> None:
    the_pin(host).unlink()


def hidden_from_the_programs(host: PolicyHost) -> None:
    with outer(host) as fd:
        assert bpf_maps.delete(fd, key(host))


def replaced_for_the_programs(host: PolicyHost) -> None:
    with outer(host) as fd, another_set() as other:
        bpf_maps.update(fd, key(host), struct.pack("=I", int(other)))


def replaced_at_its_pin(host: PolicyHost) -> None:
    pin = the_pin(host)
    pin.unlink()
    with another_set() as other:
        bpf_maps.pin(other, str(pin))


every_drift = pytest.mark.parametrize(
    "drift", [unpinned, hidden_from_the_programs, replaced_for_the_programs, replaced_at_its_pin]
)


@every_drift
def test_a_set_that_was_tampered_with_is_noticed_and_repaired(
    host: PolicyHost, drift: Callable[[PolicyHost], None]
) -> None:
    host.applied(NAMED)
    drift(host)
    shown = [
        "~ set bypass.to: not what the programs find → 1 prefix",
        "0 to add, 1 to change, 0 to remove",
    ]
    code, out, _ = host.run(NAMED, "--check")
    assert (code, out[-2:]) == (2, shown)
    assert host.applied(NAMED)[-2:] == shown
    assert host.run(NAMED, "--check")[:2] == (0, ["no changes"])
    assert host.outcome(PROBE) == "bypass_to"


@every_drift
def test_a_set_that_was_tampered_with_goes_wholly_when_it_is_named_no_more(
    host: PolicyHost, drift: Callable[[PolicyHost], None]
) -> None:
    host.applied(NAMED)
    drift(host)
    assert host.applied(Policy())[-1] == "0 to add, 1 to change, 1 to remove"
    assert list((host.pins / "sets").glob("*")) == []
    with outer(host) as fd:
        assert list(bpf_maps.keys(fd, 8)) == []


def test_a_repair_that_fails_is_undone(host: PolicyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.applied(NAMED)
    hidden_from_the_programs(host)
    with sabotaged(monkeypatch, raising(KernelError("the kernel says no", 5)), 0, done=True):
        done = host.run(NAMED)
    assert (done.code, done.err) == (
        3,
        "tproxy-apply: the kernel says no; everything was put back\n",
    )
    host.applied(NAMED)
    assert host.outcome(PROBE) == "bypass_to"


def test_what_a_set_holds_cannot_be_changed(host: PolicyHost) -> None:
    host.applied(NAMED)
    inside = struct.pack("=I", 112) + bytes(10) + b"\xff\xff" + bytes([20, 1, 0, 0])
    with bpf_maps.open_pinned(str(the_pin(host))) as fd:
        assert bpf_maps.lookup(fd, inside, 1) is not None
        for change in (
            lambda: bpf_maps.delete(fd, inside),
            lambda: bpf_maps.update(fd, inside, b"\0"),
            lambda: bpf_maps.update(fd, struct.pack("=I", 0) + bytes(16), b"\1"),
        ):
            with pytest.raises(KernelError) as refusal:
                change()
            assert refusal.value.errno == errno.EPERM
    assert host.outcome(PROBE) == "bypass_to"


def test_what_a_run_killed_while_pinning_has_left_is_taken_away(host: PolicyHost) -> None:
    host.applied(NAMED)
    aside = host.pins / "sets" / f"{the_pin(host).name}~"
    with another_set() as other:
        bpf_maps.pin(other, str(aside))
    assert host.run(NAMED, "--check").code == 2
    assert host.applied(NAMED)[-1] == "0 to add, 0 to change, 1 to remove"
    assert not aside.exists()
    assert host.applied(NAMED) == ["no changes"]
    assert host.outcome(PROBE) == "bypass_to"


def test_a_cgroup_that_was_made_again_is_noticed_and_followed(host: PolicyHost) -> None:
    with cgroup() as path:
        policy = Policy(bypass_cgroups=(path,))
        inside = Probe(cgroup=path)
        host.applied(policy)
        assert host.outcome(inside) == "bypass_cgroup"
        assert host.applied(policy) == ["no changes"]
        directory(path).rmdir()
        directory(path).mkdir()
        assert host.outcome(inside) == "intercepted"
        assert host.run(policy, "--check").code == 2
        shown = host.applied(policy)
        assert shown[-1] == "1 to add, 1 to change, 1 to remove"
        assert host.outcome(inside) == "bypass_cgroup"
        assert host.applied(policy) == ["no changes"]


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (
            Policy(bypass_users=("daemon", "no-such-user")),
            "bypass.users[1]: no user 'no-such-user' here",
        ),
        (
            Policy(bypass_cgroups=("/no/where",)),
            "bypass.cgroups[0]: no cgroup '/no/where' here",
        ),
    ],
    ids=["user", "cgroup"],
)
def test_an_unknown_name_is_refused_with_its_place_and_nothing_is_touched(
    host: PolicyHost, policy: Policy, complaint: str
) -> None:
    host.applied(NAMED)
    done = host.run(policy)
    text = host.site.read_text()
    before = text[: text.index(f'"{(*policy.bypass_users, *policy.bypass_cgroups)[-1]}"')]
    place = f"{host.site}:{before.count(chr(10)) + 1}:{len(before.splitlines()[-1]) + 1}"
    assert done == (65, [], f"{place}: {complaint}; nothing was touched\n")
    assert host.applied(NAMED) == ["no changes"]
    assert host.outcome(PROBE) == "bypass_to"


def test_a_cgroup_that_is_gone_is_refused_by_name_and_the_old_policy_stays(
    host: PolicyHost,
) -> None:
    with cgroup() as path:
        policy = Policy(bypass_cgroups=(path,), bypass_to=NAMED.bypass_to)
        host.applied(policy)
        with cgroups.inside(path):
            pass
    assert host.run(policy, "--check").code == 65
    assert host.run(policy).code == 65
    assert host.outcome(PROBE) == "bypass_to"
