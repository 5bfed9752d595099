"""A flow keeps the verdict on its first packet for life, whatever becomes of the policy.

UDP from behind has no socket here that would tell one life from the next: another policy decides
on it again.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.site.model import Policy
from tests.lab.patience import PATIENCE
from tests.policy.probes import FAMILIES, KINDS, Probe
from tests.policy.support import PolicyHost, networks

if TYPE_CHECKING:
    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

TO = {4: "20.1.2.3", 6: "2001:db8:1::3"}
PORT = 80
WAYS = [(way, kind, version) for way in ("output", "forward") for kind in KINDS
        for version in FAMILIES]  # fmt: skip
OTHERS = {
    "bypass.to": Policy(bypass_to=networks("20.1.0.0/16", "2001:db8::/32")),
    "bypass.from": Policy(bypass_from=networks("10.0.0.0/8", "fc00::/7")),
    "bypass.ports": Policy(bypass_ports=((PORT, PORT),)),
    "intercept.to": Policy(intercept_to=networks("20.2.0.0/16")),
    "intercept.ports": Policy(intercept_ports=((443, 443),)),
}


class Flow:
    """A client that talks to the proxy or to NET, and goes on with whom it began."""

    def __init__(self, host: PolicyHost, net: Servers, probe: Probe, held: ExitStack) -> None:
        self._host, self._net, self._probe = host, net, probe
        self.near = held.enter_context(probe.socket(host.lab))
        self.near.connect((probe.to, probe.port))
        self.intercepted = False
        self._far: socket.socket | None = None
        if probe.kind == "udp":
            self.near.send(b"first")
            self.intercepted = self._arrived(b"first")
            return
        try:
            self._far = host.proxy.accept(probe.version)
            self.intercepted = True
        except BlockingIOError:
            self._far = net.accept(probe.version)
        held.enter_context(self._far)

    def _arrived(self, data: bytes) -> bool:
        """Whether a datagram has come to the proxy; else it has come to NET."""
        try:
            assert self._host.proxy.receive(self._probe.version) == data
        except BlockingIOError:
            assert self._net.receive(self._probe.version) == data
            return False
        return True

    def goes_on(self) -> bool:
        """Whether what is sent now arrives where the flow began."""
        self.near.send(b"again")
        if self._far is None:
            return self._arrived(b"again") == self.intercepted
        self._far.sendall(b"answer")
        return self._far.recv(10) == b"again" and self.near.recv(10) == b"answer"

    @property
    def has_socket_here(self) -> bool:
        """Whether a socket of HOST, the client's or the proxy's, is as old as the flow."""
        return self._probe.kind == "tcp" or self._probe.way == "output"

    def decided_again(self, *, intercepted: bool) -> None:
        """Expect it where the policy of now sends it."""
        self.intercepted = intercepted


class Servers:
    """NET's own listeners on PORT of every address."""

    def __init__(self, lab: Lab, held: ExitStack) -> None:
        self._sockets = {}
        for version, family in FAMILIES.items():
            for kind, number in KINDS.items():
                made = held.enter_context(lab.net.socket(family, number))
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if version == 6:
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                made.bind(("", PORT))
                if kind == "tcp":
                    made.listen(100)
                made.settimeout(PATIENCE)
                self._sockets[kind, version] = made

    def accept(self, version: int) -> socket.socket:
        made, _ = self._sockets["tcp", version].accept()
        made.settimeout(PATIENCE)
        return made

    def receive(self, version: int) -> bytes:
        return self._sockets["udp", version].recv(100)


@pytest.mark.parametrize("name", OTHERS)
def test_flows_keep_their_verdict_while_the_policy_changes_to_and_fro(
    host: PolicyHost, name: str
) -> None:
    flows: list[Flow] = []
    with ExitStack() as held:
        net = Servers(host.lab, held)
        for turn in range(4):
            host.applied(OTHERS[name] if turn % 2 else Policy())
            for flow in flows:
                if not flow.has_socket_here:
                    flow.decided_again(intercepted=turn % 2 == 0)
            assert all(flow.goes_on() for flow in flows)
            for way, kind, version in WAYS:
                flow = Flow(host, net, Probe(way, kind, TO[version], PORT), held)
                assert flow.intercepted == (turn % 2 == 0)
                flows.append(flow)
        assert len(flows) == 4 * len(WAYS)
        assert all(flow.goes_on() for flow in flows)
        assert host.proxy.idle()


@pytest.mark.parametrize("way", ["output", "forward"])
@pytest.mark.parametrize("version", FAMILIES)
def test_a_connection_goes_on_although_its_protocol_is_no_longer_named(
    host: PolicyHost, way: str, version: int
) -> None:
    """The client has not sent a byte yet: its next packet may still be part of a handshake."""
    with ExitStack() as held:
        flow = Flow(host, Servers(host.lab, held), Probe(way, "tcp", TO[version], PORT), held)
        assert flow.intercepted
        host.applied(Policy(protocols=("udp",)))
        assert flow.goes_on()
        assert flow.goes_on()


def test_a_connections_verdict_is_not_its_addresses(host: PolicyHost) -> None:
    """The same addresses and ports, once more: another connection, another verdict."""
    with ExitStack() as held:
        net = Servers(host.lab, held)
        for turn in range(4):
            host.applied(OTHERS["bypass.to"] if turn % 2 else Policy())
            for way in ("output", "forward"):
                for version in FAMILIES:
                    namespace = host.lab.host if way == "output" else host.lab.lan
                    assert namespace is not None
                    with namespace.socket(FAMILIES[version]) as near:
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        near.bind(("", 9500))
                        near.connect((TO[version], PORT))
                        server = net if turn % 2 else host.proxy
                        with server.accept(version) as far:
                            # A reset leaves nothing behind.
                            far.setsockopt(
                                socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7)
                            )
                            far.close()
