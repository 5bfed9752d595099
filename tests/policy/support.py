"""A host with an uplink and a network behind it, whose policy a test sets.

NET answers for all of 20.0.0.0/8 and 2001:db8::/32, with a refusal and without limit to how
often.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from netplan_tproxy.cli import main as cli
from netplan_tproxy.site.model import Policy, Ports, Prefix
from tests.datapath.support import Applied
from tests.lab import Lab
from tests.lab.host import plan_of
from tests.policy import probes
from tests.policy.probes import SOURCES, Probe, TransparentProxy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.lab import Namespace

    End = tuple[Namespace, str, tuple[str, ...]]

BASE = """\
version: 1
interfaces: {wan0: {intercept: output}, lan0: {intercept: forward}}
proxy:
  tcp: &v4 {address: 127.0.0.1, port: 9040}
  tcp6: &v6 {address: "::1", port: 9040}
  udp: *v4
  udp6: *v6\
"""


class Run(NamedTuple):
    """What ``tproxy-apply`` said, and its exit code."""

    code: int
    out: list[str]
    err: str


def networks(*texts: str) -> tuple[Prefix, ...]:
    """Networks as a site holds them."""
    found = []
    for text in texts:
        network = ipaddress.ip_network(text)
        packed = network.network_address.packed
        if network.version == 6:
            found.append((network.prefixlen, packed))
        else:
            found.append((network.prefixlen + 96, bytes(10) + b"\xff\xff" + packed))
    return tuple(found)


def site_file(policy: Policy, to_file: str = "") -> str:
    """A site file with this policy, a line a key; ``to_file`` adds ``bypass.to_files``."""
    intercept = {
        "from": _texts(policy.intercept_from),
        "to": _texts(policy.intercept_to),
        "ports": policy.intercept_ports and _ranges(policy.intercept_ports),
        "protocols": policy.protocols,
    }
    bypass = {
        "from": _texts(policy.bypass_from),
        "to": _texts(policy.bypass_to),
        "to_files": [to_file] if to_file else (),
        "ports": _ranges(policy.bypass_ports),
        "users": policy.bypass_users,
        "cgroups": policy.bypass_cgroups,
        "marks": [str(mark) for mark in policy.bypass_marks],
    }
    lines = [BASE]
    for name, section in (("intercept", intercept), ("bypass", bypass)):
        named = [f"  {key}: {json.dumps(values)}" for key, values in section.items() if values]
        lines += [f"{name}:", *named] if named else []
    return "\n".join(lines) + "\n"


def _texts(prefixes: Iterable[Prefix] | None) -> list[str]:
    found = []
    for length, bits in prefixes or ():
        mapped = length >= 96 and bits[:12] == bytes(10) + b"\xff\xff"
        address = ipaddress.ip_address(bits[12:] if mapped else bits)
        found.append(f"{address}/{length - 96 if mapped else length}")
    return found


def _ranges(ports: Ports) -> list[str | int]:
    return [f"{low}-{high}" if low < high else low for low, high in ports]


class PolicyHost(Applied):
    """A lab and its proxy; ``applied`` changes the policy and nothing else."""

    def __init__(self, lab: Lab, directory: Path, proxy: TransparentProxy) -> None:
        super().__init__(lab, directory)
        self.proxy = proxy

    def run(self, policy: Policy, *options: str, to_file: str = "") -> Run:
        self.site.write_text(site_file(policy, to_file))
        out, err = io.StringIO(), io.StringIO()
        with self.lab.host.entered(), contextlib.redirect_stdout(out):
            with contextlib.redirect_stderr(err):
                code = cli.main([str(self.site), *options])
        return Run(code, out.getvalue().splitlines(), err.getvalue())

    def applied(self, policy: Policy, *, to_file: str = "") -> list[str]:
        """An apply that must succeed; the lines of its plan."""
        done = self.run(policy, to_file=to_file)
        if (done.code, done.err) != (0, ""):
            raise AssertionError(f"exit {done.code}: {done.err}")
        return plan_of(done.out)

    def outcome(self, probe: Probe) -> str:
        return probes.outcome(self, probe, self.proxy)


@contextmanager
def policy_host(directory: Path) -> Iterator[PolicyHost]:
    with Lab(lan=True, ipv6=True) as lab, TransparentProxy(lab) as proxy:
        _prepare(lab)
        host = PolicyHost(lab, directory, proxy)
        host.applied(Policy())
        yield host


def _prepare(lab: Lab) -> None:
    assert lab.lan is not None
    for (way, version), (_, second) in SOURCES.items():
        namespace, device = (lab.host, "wan0") if way == "output" else (lab.lan, "eth0")
        length, *nodad = ["24"] if version == 4 else ["64", "nodad"]
        namespace.run(["ip", "addr", "add", f"{second}/{length}", "dev", device, *nodad])
    for network in ("20.0.0.0/8", "2001:db8::/32"):
        lab.net.run(["ip", "route", "add", "local", network, "dev", "lo", "table", "local"])
    for name in ("net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"):
        lab.net.sysctl(name, 0)
    for name in ("net.ipv4.icmp_msgs_per_sec", "net.ipv4.icmp_msgs_burst"):
        lab.net.sysctl(name, 1_000_000)
    outside = (lab.host, "wan0", SOURCES["output", 6]), (lab.net, "isp0", ("fd77::1",))
    inside = (lab.lan, "eth0", SOURCES["forward", 6]), (lab.host, "lan0", ("fd79::1",))
    for one, other in (outside, inside):
        _acquaint(one, other)
        _acquaint(other, one)


def _acquaint(asking: End, asked: End) -> None:
    """Tell one end of a wire the other's link-layer address.

    Without a link-local address a router can't ask for that of whom it forwards to.
    """
    namespace, device, addresses = asked
    shown = namespace.run(["ip", "-o", "link", "show", "dev", device]).stdout
    mac = shown.split("link/ether ")[1].split()[0]
    for address in addresses:
        asking[0].run(["ip", "neigh", "replace", address, "lladdr", mac, "dev", asking[1]])
