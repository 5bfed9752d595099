"""Settings that change others when they are written: held, shown and put back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.host import sysctl_family
from netplan_tproxy.kernel.host.sysctl_family import becomes, family
from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.kinds.sysctl import Sysctl
from tests.lab import Lab, budget, diff_snapshots
from tests.lab.host import SITE, STATE, Host
from tests.lab.sabotage import raising, sabotaged
from tests.transactions.settings import tree, written

if TYPE_CHECKING:
    from tests.lab import Namespace, Snapshot

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def with_settings(**values: int) -> str:
    """A site file; ``ipv4__ip_forward`` stands for ``net.ipv4.ip_forward``."""
    lines = "".join(f"  net.{name.replace('__', '.')}: {value}\n" for name, value in values.items())
    return f"{SITE}sysctls:\n{lines}"


FORWARDING = with_settings(ipv4__ip_forward=1)
BUT_ONE = with_settings(ipv4__conf__wan0__forwarding=0, ipv4__ip_forward=1)


def read(host: Host, name: str) -> str:
    return host.namespace.sysctl(name)


def typing(host: Host, line: str) -> Callable[[], None]:
    def type_it() -> None:
        host.sh(line)

    return type_it


FILES = {
    "forwarding": FORWARDING,
    "forwarding, but for one interface": BUT_ONE,
    "its other name": with_settings(ipv4__conf__all__forwarding=1),
    "forwarding of IPv6": with_settings(ipv6__conf__all__forwarding=1),
    "a default": with_settings(ipv4__conf__default__rp_filter=1),
    "one for all": with_settings(ipv6__conf__all__ignore_routes_with_linkdown=1),
    "another unit": with_settings(ipv4__neigh__wan0__unres_qlen=55),
    "a unit that loses": with_settings(ipv6__route__gc_min_interval=3),
}


@pytest.mark.parametrize("name", FILES)
def test_what_a_setting_changes_along_is_put_back_on_destroy(host: Host, name: str) -> None:
    host.sh("ip link add bare0 type veth peer name bare1")
    host.namespace.sysctl("net.ipv4.conf.lo.forwarding", 1)
    before = host.look()
    host.write(FILES[name])
    host.applied()
    assert host.applied().out[-1] == "no changes"
    host.destroyed()
    assert diff_snapshots(before, host.look()) == []
    assert not STATE.exists()


@pytest.fixture
def six(tmp_path: Path) -> Iterator[Host]:
    """A host with all that a device loses with IPv6."""
    with Lab(ipv6=True, lan=True) as lab:
        host = Host(lab, tmp_path)
        host.sh(
            "ip addr add fd77:1::9/64 dev wan0 nodad noprefixroute",
            "ip -6 route add 2001:db8::/32 via fd77::7 dev wan0",
            "ip -6 route add 2001:db9::/32 dev wan0 table 77 metric 5 mtu 1400 proto 99",
            "ip -6 route add 2001:dba::/32 nexthop via fd77::7 dev wan0 "
            "nexthop via fd79::7 dev lan0",
            "ip -6 neigh add fd77::7 lladdr 00:11:22:33:44:55 dev wan0",
        )
        yield host
        host.run("--destroy")


NO_IPV6 = {
    "one interface": with_settings(ipv6__conf__wan0__disable_ipv6=1),
    "all": with_settings(ipv6__conf__all__disable_ipv6=1),
    "all but one": with_settings(
        ipv6__conf__wan0__disable_ipv6=0, ipv6__conf__lan0__disable_ipv6=0,
        ipv6__conf__all__disable_ipv6=1,
    ),
}  # fmt: skip


def at_rest(host: Host) -> Snapshot:
    """What there is; the two next hops of a route change places when one was gone."""
    looked = host.look()
    return {**looked, "routes6": [" ".join(sorted(line.split())) for line in looked["routes6"]]}


@pytest.mark.parametrize("name", NO_IPV6)
def test_addresses_neighbours_and_routes_come_back_with_ipv6(six: Host, name: str) -> None:
    before = at_rest(six)
    neighbours = six.sh("ip -6 neigh show nud permanent")
    six.write(NO_IPV6[name])
    done = six.applied()
    gone = six.sh("ip -6 -o addr show dev wan0")
    assert ("fd77::2" in gone) == (name == "all but one")
    assert ("address fd77::2/64 dev wan0" in " ".join(done.out)) == (name != "all but one")
    assert six.applied().out[-1] == "no changes"
    six.destroyed()
    assert diff_snapshots(before, at_rest(six)) == []
    assert six.sh("ip -6 neigh show nud permanent") == neighbours


def test_a_failure_brings_them_back(six: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = at_rest(six)
    six.write(NO_IPV6["all"])
    with sabotaged(monkeypatch, raising(KernelError("no")), 1, done=True):
        assert six.apply().code == 3
    assert diff_snapshots(before, at_rest(six)) == []


def test_what_the_file_asks_for_holds_whatever_else_is_set(host: Host) -> None:
    host.write(BUT_ONE)
    host.applied()
    assert read(host, "net.ipv4.ip_forward") == "1"
    assert read(host, "net.ipv4.conf.wan0.forwarding") == "0"
    assert read(host, "net.ipv4.conf.lo.forwarding") == "1"
    assert host.apply("--check").is_as_the_file_says


def test_it_holds_too_when_the_other_is_put_back(host: Host) -> None:
    host.write(with_settings(ipv4__conf__wan0__forwarding=1, ipv4__ip_forward=1))
    host.applied()
    host.write(with_settings(ipv4__conf__wan0__forwarding=1))
    host.applied()
    assert read(host, "net.ipv4.ip_forward") == "0"
    assert read(host, "net.ipv4.conf.wan0.forwarding") == "1"
    assert read(host, "net.ipv4.conf.lo.forwarding") == "0"
    assert host.apply("--check").is_as_the_file_says


def test_the_plan_shows_what_changes_along(host: Host) -> None:
    host.write(FORWARDING)
    shown = json.loads("\n".join(host.apply("--dry-run", "--json").out))
    (change,) = [one for one in shown["plan"]["changes"] if one["title"].endswith("ip_forward")]
    each = "net.ipv4.conf.{default,lo,wan0}.forwarding"
    redirects = "net.ipv4.conf.all.accept_redirects"
    assert change["parts"]["before"] == ["0", f"{each} 0", f"{redirects} 1"]
    assert change["parts"]["after"] == ["1", f"{each} 1", f"{redirects} 0"]
    said = " ".join(line.strip() for line in host.applied().out)
    assert f"0, {each} 0, {redirects} 1 → 1, {each} 1, {redirects} 0" in said


def test_a_failure_puts_back_what_changed_along(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.look()
    host.write(BUT_ONE)
    for step in range(3):
        with sabotaged(monkeypatch, raising(KernelError("no")), step, done=True):
            assert host.apply().code == 3
        assert diff_snapshots(before, host.look()) == []


def test_interfaces_that_are_there_keep_theirs_when_the_default_changes(host: Host) -> None:
    host.sh("ip link add bare0 type veth peer name bare1")
    host.write(with_settings(ipv4__conf__default__rp_filter=1))
    host.applied()
    assert read(host, "net.ipv4.conf.bare0.rp_filter") == "0"
    host.sh("ip link add late0 type veth peer name late1")
    assert read(host, "net.ipv4.conf.late0.rp_filter") == "1"


def test_what_somebody_has_set_since_stays(host: Host) -> None:
    host.write(with_settings(ipv4__conf__default__rp_filter=1))
    host.applied()
    host.namespace.sysctl("net.ipv4.conf.wan0.rp_filter", 2)
    host.destroyed()
    assert read(host, "net.ipv4.conf.wan0.rp_filter") == "2"


def test_two_names_of_one_setting_that_differ_are_refused_and_undone(host: Host) -> None:
    before = host.look()
    host.write(with_settings(ipv4__ip_forward=1, ipv4__conf__all__forwarding=0))
    done = host.apply()
    assert done.code == 3
    assert "the kernel took every change, yet differs: " in done.err
    assert diff_snapshots(before, host.look()) == []


def test_something_wanted_that_was_there_and_goes_meanwhile_is_noticed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.sh("ip rule add prio 900 fwmark 0x1/0x1 lookup 100")
    with sabotaged(monkeypatch, typing(host, "ip rule del prio 900"), 5):
        done = host.apply()
    assert done.code == 3
    assert "yet differs: + rule" in done.err
    assert done.err.endswith("everything was put back\n")


# The families are the kernel's.


@pytest.fixture
def devices() -> Iterator[Namespace]:
    """One device with an address, and others without: they follow the default."""
    with Lab() as lab:
        lab.host.run(["ip", "link", "add", "bare0", "type", "veth", "peer", "name", "bare1"])
        yield lab.host


ONE_WAY = {"net/netfilter/nf_hooks_lwtunnel"}


LEADERS = {
    "net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv4/conf/default/rp_filter",
    "net/ipv6/conf/all/forwarding", "net/ipv6/conf/all/disable_ipv6",
}  # fmt: skip


def to_try(settings: list[str]) -> list[str]:
    """Those that change others and as many as time allows, of one interface at most.

    First those that others follow, as long as these were never written.
    """
    some = [path for path in settings if not re.search("/(?:conf|neigh)/(?!wan0/|all/|def)", path)]
    chosen = {some[at] for at in budget.some(range(len(some)), share=8)}
    return sorted((chosen | LEADERS) & set(some), key=lambda path: "/default/" not in path)


def test_every_setting_changes_no_other_than_those_of_its_family(devices: Namespace) -> None:
    with devices.entered(), Kernel() as kernel:
        names = kernel.links()
        before = tree()
        numbers = sorted(path for path, value in before.items() if value.lstrip("-").isdigit())
        leaders: set[str] = set()
        for path in to_try([path for path in numbers if path not in ONE_WAY]):
            old = before[path]
            new = str(1 - int(old)) if old in "01" else str(int(old) + 1)
            if not written(path, new):
                continue
            after, members = tree(), family(path, names)
            changed = {other for other in before if after.get(other) != before[other]} - {path}
            assert changed <= members.keys(), path
            leaders |= {path} if changed else set()
            for other in (members.keys() & before.keys()) if after[path] == new else ():
                how = becomes(path, other)
                if how in {sysctl_family.follows, sysctl_family.opposes, sysctl_family.same}:
                    assert after[other] == members[other](new, before[other]), (path, other)
            image = tuple((other, before[other]) for other in members if other in before)
            all_kinds()["sysctl"].make(kernel, None, Sysctl(path, old, image))
            assert {p: v for p, v in tree().items() if v != before.get(p)} == {}, path
    assert leaders >= LEADERS
