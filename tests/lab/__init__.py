"""A laboratory of network namespaces: see ``Lab``."""

from __future__ import annotations

from tests.lab.capture import Capture
from tests.lab.lab import Lab
from tests.lab.namespace import Namespace
from tests.lab.packets import Packet
from tests.lab.servers import EchoServer, HttpServer
from tests.lab.snapshot import Snapshot, diff_snapshots, snapshot

__all__ = [
    "Capture",
    "EchoServer",
    "HttpServer",
    "Lab",
    "Namespace",
    "Packet",
    "Snapshot",
    "diff_snapshots",
    "snapshot",
]
