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
SUITES = (
    Suite(DEMO, ()),
    Suite("steps", (_STEPS,)),
    Suite("datapath", ("tests/datapath", f"--deselect={_STEPS}")),
    Suite("fastpath", ("tests/fastpath",)),
    Suite("traffic", ("tests/traffic", "--ignore=tests/traffic/soak")),
)
HANDFUL = (_STEPS,)
"""What `make test` runs on Debian 12's kernel, besides the demo."""
