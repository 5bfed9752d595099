"""``--status`` says what is there, and only that; ``--watch`` says it again and ends cleanly."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.output import status as status_text
from tests.datapath import support
from tests.inspect.reading import counted, listening, read
from tests.lab.host import SITE, Host, unchanged
from tests.lab.patience import PATIENCE
from tests.lab.streams import reset
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture
def host(lan_lab: Lab, tmp_path: Path) -> Iterator[Host]:
    made = Host(lan_lab, tmp_path)
    yield made
    made.run("--destroy")


def test_nothing_set_up_is_said_and_no_error(host: Host) -> None:
    assert host.run("--status") == (0, [status_text.NOTHING], "")


def test_looking_touches_nothing(host: Host) -> None:
    host.applied()
    with unchanged(host.stare_at_times):
        assert host.run("--status", str(host.site)).is_as_the_file_says
        assert host.run("--explain", "1.1.1.1:80").code == 0


def test_what_was_applied_and_when_is_on_record(host: Host) -> None:
    begin = time.time()
    host.write("site: edge1\n" + SITE)
    host.applied()
    site = read(host)["site"]
    assert (site["name"], site["file"]) == ("edge1", str(host.site))
    assert begin <= site["at"] <= time.time()
    assert 0 <= site["age"] <= time.time() - begin
    shown = host.run("--status").out
    assert shown[0].startswith("site edge1: /")
    assert host.applied().out == ["no changes"]
    assert read(host)["site"]["at"] == site["at"]


def test_each_interface_has_its_programs_with_their_ids_and_ages(host: Host) -> None:
    host.write(SITE.replace("wan0: {}", "wan0: {}\n  lan0: {intercept: forward}"))
    host.applied()
    report = read(host)
    found = {one["name"]: one for one in report["interfaces"]}
    assert {name: one["intercept"] for name, one in found.items()} == {
        "wan0": ["output"],
        "lan0": ["forward"],
        "lo": [],
    }
    ids = {
        int(number)
        for number in re.findall(r"\bid (\d+)", host.sh("tc filter show dev wan0 egress"))
    }
    (egress,) = (one for one in found["wan0"]["programs"] if one["hook"] == "egress")
    assert egress["id"] in ids
    assert egress["program"].startswith("wan_egress@")
    assert all(0 <= one["age"] < 60 for each in found.values() for one in each["programs"])


def test_the_listener_is_there_when_somebody_listens_and_says_who(host: Host) -> None:
    host.applied()
    (one,) = read(host)["listeners"]
    assert (one["address"], one["listening"], one["processes"]) == ("127.0.0.1:9040", False, [])
    assert any("nobody listens" in line for line in host.run("--status").out)
    with listening(host):
        (one,) = read(host)["listeners"]
        assert one["listening"]
        assert os.getpid() in {process["pid"] for process in one["processes"]}
        assert (one["waiting"], one["backlog"]) == (0, 4096)
        shown = "\n".join(host.run("--status").out)
        assert f"({os.getpid()}), 0 of 4096 waiting" in shown
        assert "nobody listens" not in shown


@pytest.mark.parametrize(
    ("where", "takes"),
    [
        (("0.0.0.0", 9040), True),
        (("::", 9040), True),
        (("127.0.0.2", 9040), False),
        (("127.0.0.1", 9041), False),
        (("::1", 9040), False),
    ],
)  # fmt: skip
def test_who_listens_elsewhere_is_the_listener_only_where_the_kernel_finds_it(
    host: Host, where: tuple[str, int], takes: object
) -> None:
    host.applied()
    with listening(host, where):
        (one,) = read(host)["listeners"]
        assert one["listening"] is takes
        with host.namespace.socket() as near:
            refused = near.connect_ex(("1.1.1.1", 79)) != 0
        assert refused is not takes


def test_intercepted_connections_are_those_that_the_proxy_holds(host: Host) -> None:
    host.applied()
    on = support.Applied.__new__(support.Applied)
    on.lab = host.lab
    with support.listener(on) as proxy, listening(host, ("127.0.0.1", 9099)) as plain:
        assert read(host)["flows"]["tcp"] == 0
        pairs = [on.pair(proxy) for _ in range(3)]
        # One that is not intercepted, and an address of this host.
        direct = on.connect(where=("127.0.0.1", 9099))
        accepted = plain.accept()[0]
        flows = read(host)["flows"]
        assert flows["tcp"] == 3
        clients = {"{}:{}".format(*pair.near.getsockname()) for pair in pairs}
        assert {one["client"] for one in flows["listed"]} == clients
        assert {one["destination"] for one in flows["listed"]} == {"1.1.1.1:80"}
        shown = host.run("--status", "-v").out
        assert "  3 connections, 0 UDP flows remembered" in shown
        assert len([line for line in shown if "→  1.1.1.1:80" in line]) == 3
        for pair in pairs:
            reset(pair.near)
            pair.far.close()
        assert read(host)["flows"]["tcp"] == 0
        direct.close()
        accepted.close()


def test_counters_and_rates_are_those_of_the_traffic(host: Host) -> None:
    host.write(SITE + "bypass: {ports: [9]}\n")
    host.applied()
    before = counted(host)
    for _ in range(7):
        with host.namespace.socket(kind=socket.SOCK_STREAM) as near:
            near.settimeout(0)
            near.connect_ex(("1.1.1.1", 9))
    (wan,) = (one for one in read(host, before)["interfaces"] if one["name"] == "wan0")
    (found,) = (one for one in wan["counters"] if one["outcome"] == "bypass_port")
    assert found["packets"] == 7
    elapsed = time.monotonic() - before.at
    assert found["packets_per_second"] >= 7 / elapsed
    later = counted(host)
    (wan,) = (one for one in read(host, later)["interfaces"] if one["name"] == "wan0")
    assert {
        one["packets_per_second"] for one in wan["counters"] if one["outcome"] == "bypass_port"
    } == {0.0}


def test_drift_is_that_of_check(host: Host) -> None:
    host.applied()
    assert any(line.startswith("  none: the kernel is as /") for line in host.run("--status").out)
    host.sh("ip rule del priority 1000", "tc filter del dev wan0 egress")
    checked, done = host.apply("--check"), host.run("--status")
    assert (checked.code, done.code) == (2, 2)
    drift = [line.strip() for line in done.out[done.out.index("drift") + 1 :]]
    assert drift == [line.strip() for line in checked.out][-len(drift) :]
    assert sum(line.startswith("+ ") for line in drift) == 2


@pytest.mark.parametrize("spoil", ["version: 1\n", None])
def test_without_a_file_to_compare_with_it_is_what_was_applied(
    host: Host, spoil: str | None
) -> None:
    host.applied()
    host.site.unlink()
    if spoil is not None:
        host.write(spoil)
    host.sh("ip rule del priority 1000")
    done = host.run("--status")
    shown = "\n".join(done.out)
    assert done.code == 2
    assert "compared with what was applied instead:" in shown
    assert "  + rule 1000: fwmark 0x1/0x1 lookup 100" in done.out
    assert done.out[-1] == "  1 to add, 0 to change, 0 to remove"


def test_what_is_there_without_a_record_is_shown_as_such(host: Host) -> None:
    host.applied()
    kept = (host.state / "ledger.json").read_bytes()
    (host.state / "ledger.json").unlink()
    nothing = "set up, but which site file it came of is not on record"
    shown = host.run("--status").out
    assert shown[0] == nothing
    assert shown[-1] == "  unknown, since what was applied is not on record"
    (host.state / "ledger.json").write_bytes(kept)
    # One of an earlier version has no such record.
    without = json.loads(kept)
    assert without.pop("site")
    (host.state / "ledger.json").write_text(json.dumps(without))
    shown = host.run("--status").out
    assert shown[0] == nothing
    assert "  none: the kernel is as it was when it was applied" in shown
    assert host.applied().out == ["no changes"]
    assert host.run("--status").out[0].startswith("site default: ")


def test_what_waits_for_its_confirmation_says_so(host: Host) -> None:
    host.applied()
    host.write(SITE.replace("9040", "9050"))
    waiting = host.namespace.popen(
        host.popen_words(str(host.site), "--confirm", "30"), cwd=ROOT, stdout=-1
    )
    assert waiting.stdout is not None
    assert any("goes back in" in line for line in iter(waiting.stdout.readline, ""))
    report = read(host)
    assert 0 < report["pending_seconds"] <= 30
    assert [one["address"] for one in report["listeners"]] == ["127.0.0.1:9050"]
    assert any("goes back in" in line for line in host.run("--status").out)
    assert host.run("--commit").code == 0
    assert waiting.wait(PATIENCE) == 0
    assert read(host)["pending_seconds"] is None
    assert host.run("--explain", "1.1.1.1:80").out[-2].endswith("proxy.port: 9050")


def test_the_record_of_a_change_that_was_rolled_back_is_the_old_one(host: Host) -> None:
    host.write("site: old\n" + SITE)
    host.applied()
    host.write("site: new\n" + SITE.replace("9040", "9050"))
    waiting = host.namespace.popen(
        host.popen_words(str(host.site), "--confirm", "30", "--replace"),
        cwd=ROOT,
        stdout=-1,
        stderr=-1,
    )
    assert waiting.stdout is not None
    assert any("goes back in" in line for line in iter(waiting.stdout.readline, ""))
    assert host.run("--rollback").code == 0
    waiting.wait(PATIENCE)
    assert read(host)["site"]["name"] == "old"
