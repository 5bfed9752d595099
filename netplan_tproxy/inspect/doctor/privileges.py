"""Whether this process has the rights that an apply needs."""

from __future__ import annotations

import os
from pathlib import Path

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.host.capabilities import require_privileges

_EVERYBODY = 4294967295


def examine(target: Target) -> list[Finding]:
    """Examine capabilities and the user namespace."""
    del target
    findings = []
    missing = missing_capabilities()
    if not missing:
        findings.append(ok("privileges.capabilities", "CAP_NET_ADMIN and CAP_BPF are held"))
    elif os.geteuid() == 0:
        findings.append(
            fail(
                "privileges.capabilities",
                f"root, but without {missing}",
                "give them to this container or unit (--cap-add, CapabilityBoundingSet=)",
            )
        )
    else:
        findings.append(
            unseen(
                "privileges.capabilities",
                f"without {missing}: part of this could not be checked",
                "run it with sudo to see all",
            )
        )
    if not _in_first_user_namespace():
        findings.append(
            fail(
                "privileges.namespace",
                "runs in a user namespace of its own, where the kernel refuses tc programs",
                "run it on the host or in a container without user namespace (rootful, no userns)",
            )
        )
    return findings


def missing_capabilities() -> str:
    """Return the capabilities that an apply needs and this process lacks, as text; "" if none."""
    try:
        require_privileges()
    except TproxyError as refusal:
        return str(refusal).partition(" missing")[0]
    return ""


def _in_first_user_namespace() -> bool:
    try:
        numbers = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    except OSError:
        return True
    return numbers == ["0", "0", str(_EVERYBODY)]
