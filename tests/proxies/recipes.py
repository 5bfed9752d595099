"""The proxies of ``examples/``: how each is started, and what it shows of its work."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

EXAMPLES = ROOT / "examples"
SERVERS = {4: "1.1.1.1", 6: "2606:4700:4700::1111"}
SHADOWSOCKS_SERVER = "203.0.113.7"

_HOST = {4: "10.77.0.2", 6: "fd77::2"}
_CAPABILITIES = "-all,+net_admin,+net_bind_service"


@dataclass(frozen=True)
class Recipe:
    """One folder of ``examples/``.

    ``log`` is a line about a connection, in which ``{client}`` and ``{wanted}`` stand for
    addresses with ports; ``serves`` are protocols with IP versions; ``far`` is the client that
    the internet sees; ``server`` is to run in the internet; ``log_directory`` holds log files
    that ``user`` writes.
    """

    name: str
    command: tuple[str, ...]
    log: str
    serves: tuple[str, ...]
    far: dict[int, str]
    server: tuple[str, ...] = ()
    log_directory: str = ""
    user: str = ""

    @property
    def site(self) -> Path:
        return EXAMPLES / self.name / "site.yaml"

    def versions(self, proto: str) -> list[int]:
        """The IP versions over which it serves a protocol."""
        return [version for version in (4, 6) if f"{proto}{version}" in self.serves]


def _file(*parts: str) -> str:
    return str(EXAMPLES.joinpath(*parts))


def _as_nobody(*words: str) -> tuple[str, ...]:
    return ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--", *words)


HAPROXY = Recipe(
    "haproxy",
    # As haproxy.service does.
    ("haproxy", "-Ws", "-f", _file("haproxy", "haproxy.cfg")),
    "{client} -> {wanted} ",
    ("tcp4", "tcp6"),
    _HOST,
)
SQUID = Recipe(
    "squid",
    # As squid.service does, without a copy of the log to syslog.
    ("squid", "--foreground", "-YC", "-f", _file("squid", "squid.conf")),
    "{client} -> {wanted} TCP_[A-Z_]+/200 GET",
    ("tcp4", "tcp6"),
    _HOST,
    log_directory="/var/log/squid",
    user="proxy",
)
V2RAY = Recipe(
    "v2ray",
    # As v2ray.service does with the drop-in tproxy.conf.
    (
        *("setpriv", "--bounding-set", _CAPABILITIES, "--inh-caps", "-all", "--no-new-privs", "--"),
        *("v2ray", "-config", _file("v2ray", "config.json")),
    ),
    "{client} accepted [a-z]+:{wanted} ",
    ("tcp4", "tcp6", "udp4", "udp6"),
    _HOST,
)
SHADOWSOCKS = Recipe(
    "shadowsocks",
    # As shadowsocks-libev-redir@.service does; -v tells about connections.
    _as_nobody("ss-redir", "-v", "-c", _file("shadowsocks", "client.json")),
    "redir to {wanted},|cache (?:miss|hit): {wanted} <-> {client}",
    ("tcp4", "udp4"),
    # What ss-server asks for comes from its own side.
    {4: SERVERS[4]},
    server=_as_nobody("ss-server", "-c", _file("shadowsocks", "server.json")),
)
PYTHON = Recipe(
    "python",
    (sys.executable, _file("python", "proxy.py")),
    "{client} -> {wanted}\n",
    ("tcp4", "tcp6"),
    _HOST,
)
RECIPES = (HAPROXY, SQUID, V2RAY, SHADOWSOCKS, PYTHON)
SHARING = {"v2ray"}
"""Those that offer no way not to share a port: they need Linux 6.6 (docs/proxies.md)."""
