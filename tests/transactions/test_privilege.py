"""Without the rights it needs it says which, and touches nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.foreign import put_other_program
from tests.lab.host import SITE, STATE, Host, unchanged

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def having(*capabilities: str) -> tuple[str, ...]:
    """Nobody, with these capabilities and no others."""
    given = ",".join(f"+{name}" for name in capabilities)
    return (*NOBODY, f"--inh-caps={given}", f"--ambient-caps={given}")


@pytest.fixture
def readable() -> Iterator[Path]:
    """A site file that nobody can read too."""
    path = Path("/run/site.yaml")
    path.write_text(SITE)
    yield path
    path.unlink()


@pytest.mark.parametrize(
    ("prefix", "missing"),
    [
        (NOBODY, "CAP_NET_ADMIN and CAP_BPF"),
        (("setpriv", "--bounding-set=-all"), "CAP_NET_ADMIN and CAP_BPF"),
        (("setpriv", "--bounding-set=-net_admin"), "CAP_NET_ADMIN"),
        (("setpriv", "--bounding-set=-bpf,-sys_admin"), "CAP_BPF"),
        (having("net_admin"), "CAP_BPF"),
    ],
)
def test_a_missing_capability_is_named(
    host: Host, readable: Path, prefix: tuple[str, ...], missing: str
) -> None:
    for options in ([str(readable)], ["--destroy"], [str(readable), "--check"]):
        with unchanged(host.stare):
            done = host.spawn(*options, prefix=prefix)
        way = "run it with sudo"
        if "--reuid=65534" not in prefix:
            them = "them" if " and " in missing else "it"
            way = f"give {them} to this container or unit (--cap-add, CapabilityBoundingSet=)"
        message = f"{missing} missing: {way}; nothing was touched"
        assert done == (1, [], f"tproxy-apply: {message}\n")
    assert not STATE.exists()


def test_root_needs_no_more_than_the_two_where_bpffs_is_mounted(host: Host, readable: Path) -> None:
    prefix = ("setpriv", "--bounding-set=-all,+net_admin,+bpf,+perfmon,+dac_override")
    done = host.spawn(str(readable), prefix=prefix)
    assert (done.code, done.err) == (0, "")
    assert host.apply().out == ["no changes"]
    assert host.spawn("--destroy", prefix=prefix).code == 0


ENOUGH = ("net_admin", "bpf", "perfmon")


@pytest.fixture
def own(readable: Path) -> Iterator[str]:
    """A state directory of nobody's own, as an option."""
    del readable
    path = Path("/run/own")
    path.mkdir()
    os.chown(path, 65534, 65534)
    yield f"--state-dir={path}"
    shutil.rmtree(path)


def test_nobody_with_three_capabilities_can_do_it_all(host: Host, readable: Path, own: str) -> None:
    with unchanged(host.look):
        done = host.spawn(str(readable), own, prefix=having(*ENOUGH))
        assert (done.code, done.err) == (0, "")
        for capabilities in (ENOUGH, ("net_admin", "bpf")):
            prefix = having(*capabilities)
            assert host.spawn(str(readable), own, prefix=prefix).out == ["no changes"]
        assert host.spawn("--destroy", own, prefix=having("net_admin", "bpf")).code == 0


def test_loading_programs_takes_a_third_capability(host: Host, readable: Path, own: str) -> None:
    with unchanged(host.look):
        done = host.spawn(str(readable), own, prefix=having("net_admin", "bpf"))
    assert done.code == 1
    assert done.err.startswith("tproxy-apply: program ")
    assert ": CAP_PERFMON missing: " in done.err
    assert done.err.endswith("; nothing was touched\n")


def test_taking_over_a_filter_takes_sys_admin(host: Host, readable: Path, own: str) -> None:
    host.sh("tc qdisc add dev wan0 clsact")
    put_other_program(host, "theirs")
    with unchanged(host.look):
        options = [str(readable), own, "--adopt"]
        done = host.spawn(*options, prefix=having(*ENOUGH))
        assert done.code == 1
        assert "Operation not permitted" in done.err
        assert done.err.endswith("; nothing was touched\n")
        assert host.spawn(*options, prefix=having(*ENOUGH, "sys_admin")).code == 0
        host.spawn("--destroy", own, prefix=having(*ENOUGH, "sys_admin"))
    host.sh("tc qdisc del dev wan0 clsact")


def test_the_capabilities_alone_do_not_open_the_state_directory(host: Host, readable: Path) -> None:
    with unchanged(host.stare):
        done = host.spawn(str(readable), prefix=having("net_admin", "bpf", "perfmon"))
    assert done.code == 1
    assert "Permission denied" in done.err
    assert done.err.endswith("; nothing was touched\n")


def test_pins_that_cannot_be_read_are_not_taken_for_missing(host: Host, readable: Path) -> None:
    host.applied()
    with unchanged(host.stare):
        done = host.spawn(
            str(readable), "--check", "--state-dir=/run/none", prefix=having("net_admin", "bpf")
        )
    assert (done.code, done.out) == (1, [])
    assert "Permission denied; nothing was touched" in done.err
