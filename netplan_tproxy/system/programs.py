"""Programs of others that this tool runs: found where the system keeps them, and told little.

``PATH`` and the rest of the environment may come from whoever called sudo(8).
"""

from __future__ import annotations

import shutil

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"


def find(name: str, path: str = PATH) -> str | None:
    """Give the absolute path of a program; None where there is none."""
    return shutil.which(name, path=path)


def environment() -> dict[str, str]:
    """Give what they are told. XTABLES_LIBDIR, for one, names code that iptables loads."""
    return {"PATH": PATH, "LC_ALL": "C.UTF-8"}
