"""How ``--status`` ends, and how wide it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.inspect.reading import listening
from tests.lab.host import SITE, Host

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


def test_the_exit_code_says_whether_it_is_as_the_file_says_and_whether_somebody_listens(
    host: Host,
) -> None:
    assert host.run("--status", str(host.site)).code == 2
    host.applied()
    assert (host.run("--status").code, host.apply("--check").code) == (10, 10)
    with listening(host):
        assert (host.run("--status").code, host.apply("--check").code) == (0, 0)
        host.write("version: 1\n")
        assert host.run("--status").code == 2
        host.write(SITE)
        host.sh("ip rule del priority 1000")
        assert (host.run("--status").code, host.apply("--check").code) == (2, 2)
    # What an apply would mend comes first.
    assert (host.run("--status").code, host.apply("--check").code) == (2, 2)


def test_check_names_the_listener_that_is_missing(host: Host) -> None:
    host.applied()
    nobody, *more = host.apply("--check").out[1:]
    assert nobody.startswith("! nobody listens on tcp 127.0.0.1:9040: ")
    assert more == []
    with listening(host):
        assert host.apply("--check").out == ["no changes"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_any_status_fits_its_columns(
    host: Host, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netplan_tproxy.output.style.UNBROKEN", width)
    longest = '{tcp6: {address: "fd00:1111:2222:3333:4444:5555:6666:7777", port: 65535}}'
    host.write(SITE.replace("wan0: {}", "wan0: {}\n  lan0: {}").replace("{port: 9040}", longest))
    host.applied()
    host.sh("ip -6 rule del priority 1000")
    shown = host.run("--status", "-v").out
    assert len(shown) > 20
    for line in shown:
        assert len(line) <= width or " " not in line.strip()
