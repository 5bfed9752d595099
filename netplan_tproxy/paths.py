"""Where things lie: what the package brings along, and the default places of a host."""

from __future__ import annotations

from functools import cache
from pathlib import Path

DEFAULT_SITE = "/etc/netplan-tproxy/site.yaml"
DEFAULT_STATE = "/run/netplan-tproxy"
DEFAULT_CACHE = "/var/cache/netplan-tproxy"

_PACKAGE = Path(__file__).resolve().parent


@cache
def shared(name: str) -> Path:
    """Give a folder such as ``bpf``: of the installed package, else of the checkout around it."""
    installed = _PACKAGE / "_share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
