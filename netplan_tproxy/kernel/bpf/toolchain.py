"""Whether bcc is here, and which one: told without importing it, which takes a while."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from netplan_tproxy.errors import TproxyError

NO_BCC = (
    "bcc not found: apt install python3-bpfcc, and use a Python that sees it "
    "(/usr/bin/python3, or a venv with --system-site-packages); nothing was touched"
)
# The programs include constants of the kernel's that are kept below /usr/include/linux.
_HEADERS = Path("/usr/include/linux/version.h")


def require_bcc() -> None:
    """Raise TproxyError where there is no bcc."""
    if find_spec("bcc") is None:
        raise TproxyError(NO_BCC)


def compiler_here() -> str:
    """Identify the compiler: bcc's place and version, and the kernel headers; "" without bcc."""
    spec = find_spec("bcc")
    if spec is None or spec.origin is None:
        return ""
    parts = [spec.origin]
    for path in (Path(spec.origin).with_name("version.py"), _HEADERS):
        try:
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError:
            parts.append("none")
    return " ".join(parts)
