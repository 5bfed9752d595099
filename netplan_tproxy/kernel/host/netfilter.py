"""The netfilter rules of this network namespace, as their own tools show them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netplan_tproxy.system.programs import PATH, environment, find

_SECONDS = 5
_PATH = PATH
_SAVES = {
    "ip_tables_names": ("iptables-legacy-save", "iptables-save"),
    "ip6_tables_names": ("ip6tables-legacy-save", "ip6tables-save"),
}


@dataclass(frozen=True)
class Ruleset:
    """``nft`` is what `nft -j list ruleset` says, ``legacy`` what iptables-save(8) does.

    Its only comments are ``# PROGRAM``: the program that changes the rules which follow.

    ``unread`` says what could not be read, and why.
    """

    nft: tuple[dict[str, Any], ...] = ()
    legacy: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def read_ruleset() -> Ruleset:
    """Read all of them; what is not in use is not asked for."""
    unread = []
    nft: tuple[dict[str, Any], ...] = ()
    text, why = _said("nft", "-j", "list", "ruleset")
    if why:
        unread.append(f"nftables: {why}")
    else:
        nft = tuple(json.loads(text or "{}").get("nftables", ()))
    legacy: list[str] = []
    for listing, tools in _SAVES.items():
        try:
            if not _in_use(listing):
                continue
        except OSError as refusal:
            unread.append(f"iptables: {refusal.strerror}")
            continue
        tool = next((name for name in tools if find(name, _PATH)), tools[0])
        text, why = _said(tool)
        if why:
            unread.append(f"iptables: {why}")
        legacy.append(f"# {tool.removesuffix('-save')}")
        legacy += [line for line in text.splitlines() if not line.startswith("#")]
    return Ruleset(nft, tuple(legacy), tuple(unread))


def _in_use(listing: str) -> bool:
    """Whether a kernel table of the old iptables exists here. Raises OSError (it takes root)."""
    try:
        return bool((Path("/proc/thread-self/net") / listing).read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return False


def _said(tool: str, *arguments: str) -> tuple[str, str]:
    path = find(tool, _PATH)
    if path is None:
        return "", f"{tool} is not installed"
    try:
        done = subprocess.run(
            [path, *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        return "", f"{tool}: {failure}"
    if done.returncode:
        first = (done.stderr.strip() or "failed").splitlines()[0]
        return "", f"{tool}: {first}"
    return done.stdout, ""
