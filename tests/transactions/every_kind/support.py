"""Two site files that use every kind of resource and differ in all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.lab import diff_snapshots
from tests.lab.tcx import WAYS

if TYPE_CHECKING:
    from tests.lab import Snapshot
    from tests.lab.host import Host

OLD = """\
version: 1
interfaces:
  wan0: {intercept: output}
  lan0: {intercept: forward}
proxy:
  tcp: {port: 9040}
  tcp6: {port: 9040}
  udp: {port: 9040}
  udp6: {port: 9040}
route_tables:
  100: [{to: default}, {to: "::/0"}, {to: 192.0.2.0/24, via: 10.77.0.1, mtu: 1400}]
rules:
  - {mark: intercept, table: 100, priority: 1000}
sysctls:
  net.ipv4.ip_default_ttl: 33
intercept:
  from: [10.77.0.0/16, 10.79.0.0/16, "fd77::/16"]
  ports: [53, 80, 443, 8000-8999]
bypass:
  to: [10.0.0.0/8, "fc00::/7"]
  ports: [22]
  users: [nobody]
  marks: [0x10/0x10]
"""
NEW = """\
version: 1
interfaces:
  wan1: {intercept: output}
  lan0: {intercept: [output, forward]}
proxy:
  tcp: {port: 9041}
  udp6: {port: 9041}
  when_down: bypass
attach: WAY
marks: {intercept: 0x40/0xf0}
route_tables:
  101: [{to: default}, {to: "::/0"}, {to: "2001:db8::/32", type: blackhole, metric: 7}]
rules:
  - {mark: intercept, table: 101, priority: 900}
sysctls:
  net.ipv4.ip_default_ttl: 65
  net.ipv4.conf.wan1.rp_filter: 2
intercept:
  ports: [80, 443]
bypass:
  from: [10.79.0.9]
  to: [10.0.0.0/8, 192.0.2.0/24]
"""


NEW = NEW.replace("WAY", WAYS[-1])
_TAG = re.compile(r" tag [0-9a-f]{16}")


def steps(host: Host, *arguments: str) -> int:
    """How many changes this run would make."""
    return host.run(*arguments, "--dry-run").total


def same(expected: Snapshot, now: Snapshot, where: object) -> None:
    """Compare; the tag is of the machine code, which varies with what is compiled beside it."""
    differing = diff_snapshots(_untagged(expected), _untagged(now))
    assert differing == [], f"{where}: {differing}"


def _untagged(seen: Snapshot) -> Snapshot:
    return {**seen, "filters": [_TAG.sub("", line) for line in seen["filters"]]}
