"""The file systems that an apply uses."""

from __future__ import annotations

from pathlib import Path

from netplan_tproxy.datapath.pins import Pins
from netplan_tproxy.errors import KernelError
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.host.users_cgroups import cgroup_root

_BPFFS = "/sys/fs/bpf"
_SAFE = "only root should put things there: chmod 700 it unless programs of other users pin there"
_CGROUP = "/sys/fs/cgroup"


def examine(target: Target) -> list[Finding]:
    """Look for bpffs and cgroup2, and whether /run is a tmpfs."""
    return [_bpffs(), _cgroup(target), _run()]


def _bpffs() -> Finding:
    pins = Pins()
    mounted = pins.mounted()
    if mounted:
        try:
            pins.foreign()
        except KernelError as hazard:
            if hazard.errno:
                return unseen("mounts.bpffs", f"bpffs at {mounted}; {hazard}")
            return fail("mounts.bpffs", str(hazard), _SAFE)
        return ok("mounts.bpffs", f"bpffs at {mounted}")
    if not Path(_BPFFS).is_dir():
        return fail(
            "mounts.bpffs",
            f"neither a bpffs nor its place {_BPFFS}",
            "mount a sysfs at /sys, or give the container the host's /sys/fs/bpf",
        )
    return ok("mounts.bpffs", f"no bpffs at {_BPFFS} yet: an apply mounts one")


def _cgroup(target: Target) -> Finding:
    site = target.site
    needs = site is not None and bool(site.policy.bypass_cgroups or site.fastpath.enabled)
    root = cgroup_root()
    if root is not None:
        return ok("mounts.cgroup2", f"cgroup2 at {root}")
    if needs:
        return fail(
            "mounts.cgroup2",
            "no cgroup2 is mounted, and the site file names cgroups",
            f"`mount -t cgroup2 none {_CGROUP}`, or bypass by user or mark",
        )
    return ok("mounts.cgroup2", "no cgroup2 is mounted; nothing here needs it")


def _run() -> Finding:
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        _, place, kind, *_ = line.split(" ")
        if place in {"/run", "/var/run"} and kind in {"tmpfs", "ramfs"}:
            return ok("mounts.run", "/run is a tmpfs")
    return warn(
        "mounts.run",
        "/run is not a tmpfs: the record of what is ours may outlive a reboot",
        "nothing goes wrong (it carries the boot's id), but mount a tmpfs at /run",
    )
