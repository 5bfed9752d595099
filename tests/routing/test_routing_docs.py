"""The site files of docs/routing.md do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab
from tests.lab.host import Host
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
_SITES = re.findall(
    r"^## (.*?)\n.*?^```yaml\n(version:.*?)^```",
    (ROOT / "docs/routing.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
UPLINK, SWITCH = (text for _, text in _SITES)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Lab(wans=2) as lab:
        yield Host(lab, tmp_path)


def way(host: Host, mark: str = "") -> str:
    words = ["ip", "route", "get", "1.1.1.1", *(["mark", mark] if mark else [])]
    done = host.namespace.run(words, check=False)
    return done.stdout + done.stderr


def test_what_carries_the_bypass_mark_has_an_uplink_of_its_own(host: Host) -> None:
    before = host.look()
    host.write(UPLINK)
    host.applied()
    assert "via 10.78.0.1 dev wan1" in way(host, "2")
    assert "dev wan0" in way(host)
    assert host.applied().out[-1] == "no changes"
    host.destroyed()
    assert host.look() == before


def test_it_goes_nowhere_when_its_uplink_is_gone(host: Host) -> None:
    host.write(SWITCH)
    host.applied()
    assert "via 10.78.0.1 dev wan1" in way(host, "2")
    host.sh("ip link set wan1 down")
    assert "via" not in way(host, "2")
    assert "dev wan0" in way(host)
    assert [line for line in host.apply("--dry-run", "-v").changes if line.startswith("+ ")]


def test_a_gateway_that_nothing_leads_to_is_named_with_its_line(host: Host) -> None:
    before = host.look()
    host.write(UPLINK.replace("10.78.0.1", "198.51.100.1"))
    done = host.apply()
    assert done.code == 3
    assert f"{host.site}:6:" in done.err
    assert "invalid gateway" in done.err
    assert host.look() == before


def test_an_interface_that_is_not_here_is_named_before_anything_is_done(host: Host) -> None:
    before = host.look()
    host.write(UPLINK.replace("dev: wan1", "dev: wan9"))
    done = host.apply()
    assert done.code == 1
    assert f"{host.site}:6:9: route 0.0.0.0/0 table 200: no interface wan9" in done.err
    assert host.look() == before


def test_a_route_of_others_in_main_is_not_taken_over(host: Host) -> None:
    host.sh("ip route add 198.51.100.0/24 dev wan1")
    before = host.look()
    host.write(UPLINK.replace("  200:", "  main: [{to: 198.51.100.0/24, type: blackhole}]\n  200:"))
    for options in ((), ("--adopt",)):
        done = host.apply(*options)
        assert "route 198.51.100.0/24 table 254: is already there" in done.err
        assert done.code == 6
        assert host.look() == before
