"""``--explain`` says what really happens, and which line of the file has it so."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.datapath.layouts import CONFIG
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.inspect.flow import Question, parse_target
from netplan_tproxy.inspect.status import read_config
from netplan_tproxy.output import explain as explain_text
from netplan_tproxy.site.model import Mark, Policy
from tests.inspect.explaining import about, ask, compare, decided
from tests.lab import cgroups
from tests.lab.budget import examples
from tests.lab.patience import PATIENCE
from tests.policy.probes import Probe
from tests.policy.support import PolicyHost, networks, policy_host
from tests.policy.test_any_policy import packets, policies

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyHost]:
    with policy_host(tmp_path_factory.mktemp("site")) as made:
        yield made


@settings(max_examples=examples(4), database=None, phases=[Phase.generate])
@given(policies, st.lists(packets, min_size=10, max_size=10))
def test_any_connection_fares_as_explained(
    host: PolicyHost, policy: Policy, probes: list[Probe]
) -> None:
    compare(host, policy, probes)


@pytest.mark.slow
@settings(max_examples=examples(40), database=None, phases=[Phase.generate])
@given(policies, st.lists(packets, min_size=12, max_size=12))
def test_any_connection_of_many_fares_as_explained(
    host: PolicyHost, policy: Policy, probes: list[Probe]
) -> None:
    compare(host, policy, probes)


def test_a_connection_of_no_interface_and_no_source_is_that_of_the_routing_table(
    host: PolicyHost,
) -> None:
    host.applied(Policy())
    for family, target in ((socket.AF_INET, "20.0.0.1"), (socket.AF_INET6, "2001:db8::1")):
        found = ask(host, Question(target, 80))
        assert (found["outcome"], found["connection"]["device"]) == ("intercepted", "wan0")
        with host.lab.host.socket(family, socket.SOCK_DGRAM) as near:
            near.connect((target, 80))
            assert found["connection"]["source"] == near.getsockname()[0]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question("10.77.0.2", 80), "local"),
        (Question("127.0.0.1", 80), "local"),
        (Question("::1", 80), "local"),
        (Question("10.77.0.2", 80, device="lan0", source="10.79.0.2"), "local"),
        (Question("224.0.0.1", 80, "udp", device="wan0"), "bypass_address"),
        (Question("10.77.0.255", 80, "udp"), "bypass_address"),
        (Question("20.0.0.1", 80, mark=1), "local"),
        (Question("20.0.0.1", 80, mark=2), "bypass_mark"),
        (Question("20.0.0.1", 80, device="lo"), "not_watched"),
        (Question("20.0.0.1", 80, device="wan0", source="10.79.0.2"), "not_watched"),
        (Question("20.0.0.1", 80, device="lan0"), "intercepted"),
    ],
    ids=str,
)
def test_what_the_policy_is_never_asked_about(
    host: PolicyHost, question: Question, expected: str
) -> None:
    host.applied(Policy())
    assert ask(host, question)["outcome"] == expected


POLICY = Policy(
    intercept_ports=((80, 80), (8000, 8999)),
    bypass_to=networks("20.1.0.0/16", "2001:db8:1::/48"),
    bypass_ports=((8080, 8080), (8443, 8443)),
    bypass_users=("daemon", "12345"),
    bypass_marks=(Mark(0x10, 0x10),),
)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question("20.0.0.1", 8001), ["intercept.ports[1]: 8000-8999", "proxy.tcp.port: 9040"]),
        (Question("20.0.0.1", 81), ["intercept.ports: 80, 8000-8999"]),
        (Question("20.1.2.3", 80), ["bypass.to[0]: 20.1.0.0/16"]),
        (Question("2001:db8:1::1", 80), ["bypass.to[1]: 2001:db8:1::/48"]),
        (Question("20.0.0.1", 8443), ["bypass.ports[1]: 8443"]),
        (Question("20.0.0.1", 80, user="daemon"), ["bypass.users[0]: daemon"]),
        (Question("20.0.0.1", 80, user="12345"), ["bypass.users[1]: 12345"]),
        (Question("20.0.0.1", 80, mark=0x10), ["bypass.marks[0]: 0x10/0x10"]),
        (Question("20.0.0.1", 80, mark=0x2), ["default marks.bypass: 0x2/0x2"]),
    ],
    ids=str,
)
def test_the_line_that_decides_is_named(
    host: PolicyHost, question: Question, expected: list[str]
) -> None:
    host.applied(POLICY)
    assert decided(host, question) == expected


def test_a_network_of_a_file_is_found_in_it(host: PolicyHost) -> None:
    (host.site.parent / "networks.txt").write_text("20.7.0.0/16\n")
    host.applied(POLICY, to_file="networks.txt")
    assert decided(host, Question("20.1.2.3", 80)) == ["bypass.to[0]: 20.1.0.0/16"]
    assert decided(host, Question("20.7.2.3", 80)) == ["bypass.to_files[0]: networks.txt"]


def test_a_cgroup_decides_for_those_below_it(host: PolicyHost) -> None:
    with cgroups.cgroup("above") as path, cgroups.cgroup("above/below") as below:
        host.applied(Policy(bypass_cgroups=(path,)))
        for where, expected in ((path, "bypass_cgroup"), (below, "bypass_cgroup"), ("", None)):
            probe = Probe(cgroup=where)
            found = ask(host, about(probe))
            assert found["outcome"] == (expected or "intercepted") == host.outcome(probe)
        assert decided(host, Question("20.0.0.1", 80, cgroup=below)) == [
            f"bypass.cgroups[0]: {path}"
        ]


def test_lines_are_named_as_applied_and_said_to_have_moved(host: PolicyHost) -> None:
    host.applied(POLICY)
    host.site.write_text("# a new line\n" + host.site.read_text())
    (place,) = ask(host, Question("20.1.2.3", 80))["decided_by"]
    assert (place["text"], place["current"]) == ("20.1.0.0/16", False)
    host.site.unlink()
    (place,) = ask(host, Question("20.1.2.3", 80))["decided_by"]
    assert not place["current"]


def test_the_kernel_is_asked_and_not_the_file(host: PolicyHost) -> None:
    host.applied(POLICY)
    host.site.write_text(host.site.read_text().replace("20.1.0.0/16", "20.2.0.0/16"))
    assert ask(host, Question("20.1.2.3", 80))["outcome"] == "bypass_to"
    assert ask(host, Question("20.2.2.3", 80))["outcome"] == "intercepted"


def test_where_the_kernel_goes_by_something_else_no_line_is_named(host: PolicyHost) -> None:
    host.applied(POLICY)
    with host.lab.host.entered(), Kernel() as kernel:
        found = read_config(kernel)
        assert found is not None
        changed = type(found)(**{**vars(found), "bypass": ()})
        kernel.bpf.maps.write_entry(CONFIG.pin, bytes(4), changed.pack())
    said = ask(host, Question("20.1.2.3", 80))
    assert (said["outcome"], said["on_record"], said["decided_by"]) == ("bypass_to", False, [])
    host.applied(POLICY)
    assert ask(host, Question("20.1.2.3", 80))["on_record"]


@contextmanager
def nobody_listens(host: PolicyHost) -> Iterator[None]:
    host.proxy.close()
    try:
        yield
    finally:
        host.proxy.__init__(host.lab)  # type: ignore[misc]


def test_where_nobody_listens_that_is_what_becomes_of_it(host: PolicyHost) -> None:
    host.applied(Policy())
    probe = Probe()
    with nobody_listens(host):
        found = ask(host, about(probe))
        assert found["outcome"] == "refused"
        with probe.socket(host.lab) as near, pytest.raises(ConnectionRefusedError):
            near.connect((probe.to, probe.port))
        assert found["proxy"]["processes"] == []
        assert "default proxy.when_down: drop" in decided(host, about(probe))
    found = ask(host, about(probe))
    assert found["outcome"] == "intercepted"
    assert found["proxy"]["processes"]


def test_no_line_says_that_somebody_listens_where_nobody_does(host: PolicyHost) -> None:
    host.applied(Policy())
    with nobody_listens(host):
        shown = explain_text.lines(ask(host, about(Probe())))
    assert [line for line in shown if "listen" in line] == [
        line for line in shown if line.startswith("refused: nobody listens on ")
    ]
    assert len([line for line in shown if "listen" in line]) == 1


def test_an_ipv4_destination_written_as_ipv6_is_explained_as_it_fares(host: PolicyHost) -> None:
    host.applied(Policy())
    target, port = parse_target("[::ffff:20.0.0.1]:80")
    assert ask(host, Question(target, port))["outcome"] == "intercepted"
    with host.lab.host.socket(socket.AF_INET6) as near:
        near.settimeout(PATIENCE)
        near.connect(("::ffff:20.0.0.1", 80))


def test_a_process_of_this_host_may_send_by_a_device_that_only_forwards(host: PolicyHost) -> None:
    host.applied(Policy())
    question = Question("10.79.0.2", 80, device="lan0", source="10.79.0.1", user="1")
    report = ask(host, question)
    assert report["connection"]["direction"] == "output"
    assert report["connection"]["uid"] == 1


def test_where_the_rule_is_gone_it_is_lost(host: PolicyHost) -> None:
    host.applied(Policy())
    host.lab.host.run(["ip", "rule", "del", "priority", "1000"])
    question = about(Probe(port=79))
    assert ask(host, question)["outcome"] == "lost"
    with host.lab.host.socket() as near:
        near.settimeout(0.2)
        with pytest.raises(TimeoutError):
            near.connect(("20.0.0.1", 79))
    host.applied(Policy())
    assert ask(host, question)["outcome"] == "intercepted"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question("20.0.0.1", 80, device="nope"), "nope: no such interface here"),
        (Question("20.0.0.1", 80, user="no-such"), "no user 'no-such' here"),
        (Question("20.0.0.1", 80, cgroup="/no/such"), "/no/such: no such cgroup here"),
        (Question("20.0.0.1", 80, source="10.79.0.2"), "10.79.0.2: not of this host: say --from"),
        (Question("20.0.0.1", 80, device="lan0"), "the source of what comes in by lan0 decides"),
        (
            Question("20.0.0.1", 80, device="lan0", user="1"),
            "what machines behind lan0 send has no user here: leave out --user, or",
        ),
        (
            Question("20.0.0.1", 80, device="lan0", cgroup="/"),
            "what machines behind lan0 send has no cgroup here: leave out --cgroup, or",
        ),
    ],
    ids=str,
)
def test_what_can_not_be_answered_says_why(
    host: PolicyHost, question: Question, message: str
) -> None:
    host.applied(Policy(bypass_from=networks("10.79.0.0/24")))
    with pytest.raises(TproxyError, match=f"^{message}"):
        ask(host, question)
