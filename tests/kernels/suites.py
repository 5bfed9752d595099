"""Which kernels there are, and what is run on each."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kernels.packages import Kernel

DEBIAN12 = Kernel("6.1", "bookworm")
KERNELS = (
    Kernel("5.10", "bullseye"),
    DEBIAN12,
    Kernel("6.12", "trixie"),
    Kernel("6.18", "trixie-backports"),
    Kernel("7.3", "trixie-backports"),
    Kernel("6.1", "bookworm", "arm64"),
)


@dataclass(frozen=True)
class Suite:
    """Tests that share a guest, by their places; ``seconds`` ends one that hangs."""

    name: str
    places: tuple[str, ...]
    seconds: int = 3000


DEMO = "demo"
_STEPS = "tests/datapath/test_verifier.py"
_TRAFFIC = tuple(
    "/".join(("tests", "traffic", f"test_{name}.py"))
    for name in (
        "bridge", "firewall", "fragments", "groups", "icmp", "ipv6", "reuseport", "transparent",
        "tun", "udp", "visitors", "vlan",
    )
)  # fmt: skip
"""One of each kind: what takes longest is left to "more traffic"."""
SUITES = (
    Suite(DEMO, ()),
    Suite("steps", (_STEPS,)),
    Suite("datapath", ("tests/datapath", f"--deselect={_STEPS}")),
    Suite("fastpath", ("tests/fastpath",)),
    Suite("traffic", _TRAFFIC),
    Suite(
        "more traffic",
        ("tests/traffic", "--ignore=tests/traffic/soak", *(f"--ignore={one}" for one in _TRAFFIC)),
        seconds=9000,
    ),
)
_DATAPATH = "tests/datapath"
HANDFUL = (
    f"{_DATAPATH}/test_listener.py::test_before_linux_6_6_a_listener_that_shares_its_port_gets_nothing",
    f"{_DATAPATH}/test_port_reuse.py::test_a_port_may_be_used_again_while_the_proxy_is_in_time_wait",
)
"""What `make test` runs on Debian 12's kernel, besides the demo: what depends on the kernel."""
