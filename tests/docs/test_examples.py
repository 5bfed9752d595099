"""The examples apply as they stand, where there is what they say that they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.cgroups import cgroup
from tests.lab.host import Host
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

EXAMPLES = ROOT / "examples"
FILES = sorted([*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("**/site.yaml")])
CGROUP = "system.slice/sing-box.service"


@contextmanager
def needed(lab: Lab) -> Iterator[None]:
    """What examples/full.yaml names: one without a link-layer header, and a cgroup."""
    lab.host.run(["ip", "tuntap", "add", "vpn0", "mode", "tun"])
    lab.host.run(["ip", "link", "set", "vpn0", "up"])
    slice_, service = CGROUP.split("/")
    with cgroup(slice_), cgroup(f"{slice_}/{service}"):
        yield


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_an_example_applies_in_its_lab_and_goes_again(path: Path, tmp_path: Path) -> None:
    with Lab(lan=True, ipv6=True) as lab, needed(lab):
        host = Host(lab, tmp_path)
        before = host.look()
        assert host.run(str(path), "--dry-run").err == ""
        done = host.run(str(path))
        assert (done.code, done.err) == (0, "")
        assert host.run(str(path), "--check").is_as_the_file_says
        host.destroyed()
        assert host.look() == before


def test_what_the_full_example_needs_is_named_in_it() -> None:
    head = (EXAMPLES / "full.yaml").read_text().partition("version:")[0]
    for name in ("wan0", "lan0", "vpn0", "haproxy", f"/{CGROUP}"):
        assert name in head
