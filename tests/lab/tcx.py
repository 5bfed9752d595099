"""Which way programs can sit on devices here: a kernel before 6.6 has no tcx."""

from __future__ import annotations

from netplan_tproxy.kernel.host.release import linux_version

HAS_TCX = linux_version() >= (6, 6)
WAYS = ("clsact", "tcx") if HAS_TCX else ("clsact",)
"""What a site file may say that is not ``auto``."""
