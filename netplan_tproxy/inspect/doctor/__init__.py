"""`tproxy-apply --doctor`: what keeps this host from being a transparent proxy.

One file per group of checks. Each has ``examine(target)``, which reads, and pure functions
that judge. Nothing on the host changes: what is loaded as a test is dropped again.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from netplan_tproxy.errors import SiteError, TproxyError
from netplan_tproxy.inspect.doctor.finding import Finding, Report, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.privileges import missing_capabilities
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.netlink.handle import Netlink
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.paths import DEFAULT_STATE
from netplan_tproxy.site.load import load
from netplan_tproxy.site.model import Site
from netplan_tproxy.system.owned import hazard_of

GROUPS = (
    "privileges", "kernel", "tools", "mounts", "network", "listener", "marks", "routes",
    "netfilter", "nat", "conflicts", "fastpath", "path", "behind", "applied",
)  # fmt: skip

__all__ = ["GROUPS", "Report", "examine"]


def examine(path: str, *, named: bool, state_dir: str = DEFAULT_STATE) -> Report:
    """Examine this host and network namespace against the site file at ``path``.

    ``named``: the user named the file; the default one may be missing. ``state_dir`` as in
    ``--state-dir``.
    """
    site, about = _site(path, named=named)
    target = Target(site, _links(), not missing_capabilities(), state_dir)
    findings = [about]
    for group in GROUPS:
        module = importlib.import_module(f"{__name__}.{group}")
        try:
            findings += module.examine(target)
        except (TproxyError, OSError) as failure:
            text = f"could not check this: {failure}"
            findings.append(unseen(f"{group}.error", text))
    return Report(site.source if site else "", tuple(findings))


def _site(path: str, *, named: bool) -> tuple[Site | None, Finding]:
    if not named and not Path(path).exists():
        return None, unseen("site.file", f"there is no {path}", "name one to have it compared")
    try:
        site = load(path)
    except SiteError as wrong:
        more = len(wrong.problems) - 1
        text = str(wrong.problems[0]) + (f" (and {more} more)" if more else "")
        return None, fail("site.file", text, "correct it; what follows is without it")
    hazard = hazard_of(Path(path))
    if hazard:
        advice = "whoever can write it decides what root does here: chown root, chmod go-w"
        return site, warn("site.file", f"{path}: site '{site.name}', but {hazard}", advice)
    return site, ok("site.file", f"{path}: site '{site.name}', and nothing wrong with it")


def _links() -> dict[str, Link]:
    netlink = Netlink()
    try:
        return netlink.links()
    finally:
        netlink.close()
