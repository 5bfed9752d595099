"""What a frame is, read as the RFCs say and with nothing of the programs' own way to do it.

The IP header's length fields are not looked at: the IP layer drops what lies. A header counts
as there when its fixed part is in the frame; what options hold is their protocol's business.
"""

from __future__ import annotations

from typing import NamedTuple

IPV4, IPV6, VLAN, SERVICE_VLAN = 0x0800, 0x86DD, 0x8100, 0x88A8
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
FIN, SYN, RST, ACK = 1, 2, 4, 16

# RFC 8200 4.1 knows an order in which these four come to five headers at most; one is spare.
MOST_EXTENSIONS = 6
_EXTENSIONS = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION})


class Flow(NamedTuple):
    """Who talks to whom; addresses and ports as numbers."""

    v6: bool
    protocol: int
    source: int
    target: int
    source_port: int
    target_port: int

    def turned(self) -> Flow:
        return Flow(
            self.v6, self.protocol, self.target, self.source, self.target_port, self.source_port
        )


class Packet(NamedTuple):
    """TCP or UDP over IP; ``l4`` counts from the IP header. Ports of a later fragment are 0.

    Of an ``unreadable`` one no more than the addresses is known, and the protocol, or 0.
    """

    flow: Flow
    l4: int
    unreadable: bool = False
    first_fragment: bool = False
    later_fragment: bool = False
    fragment_id: int = 0
    flags: int = 0

    @property
    def fragment(self) -> bool:
        return self.first_fragment or self.later_fragment

    @property
    def whole(self) -> bool:
        return not self.fragment and not self.unreadable

    @property
    def opens(self) -> bool:
        """RFC 9293, 3.10.7.1: a reset is looked at first, an acknowledgement next."""
        return self.flags & (SYN | ACK | RST) == SYN


def protocol_of(frame: bytes) -> int:
    """The protocol that the kernel takes an Ethernet frame for; a length (802.3) is none."""
    kind = int.from_bytes(frame[12:14], "big")
    return kind if kind >= 0x600 else 0


def read(protocol: int, packet: bytes, vlan: int = 0) -> Packet | str:
    """A packet without its link-layer header, or the outcome that it is counted as."""
    # IEEE 802.1Q, 9.6: id 0 is no VLAN.
    if vlan or protocol in {VLAN, SERVICE_VLAN}:
        return "vlan"
    found = _read(protocol, packet)
    if isinstance(found, Packet) and found.flow.protocol in {ICMP, ICMPV6}:
        return "other_protocol"
    return found


def read_error(protocol: int, packet: bytes) -> Flow | None:
    """The flow that an ICMP error is about, seen from whom it is sent by; None: it is none."""
    found = _read(protocol, packet)
    if isinstance(found, str) or not found.whole or found.flow.protocol not in {ICMP, ICMPV6}:
        return None
    # RFC 792; RFC 4443, 2.1.
    if packet[found.l4 : found.l4 + 1] not in (
        (b"\1", b"\2", b"\3", b"\4") if found.flow.v6 else (b"\3",)
    ):
        return None
    quoted = _read(protocol, packet[found.l4 + 8 :], quoted=True)
    if isinstance(quoted, str) or quoted.unreadable or quoted.later_fragment:
        return None
    return quoted.flow.turned() if quoted.flow.protocol in {TCP, UDP} else None


def _read(protocol: int, packet: bytes, *, quoted: bool = False) -> Packet | str:
    """The same with ICMP. Of what is ``quoted`` there may be no more than eight bytes."""
    if protocol == IPV4:
        return _read_v4(packet, quoted=quoted)
    if protocol == IPV6:
        return _read_v6(packet, quoted=quoted)
    return "other_protocol"


def _read_v4(packet: bytes, *, quoted: bool) -> Packet | str:
    # RFC 791, 3.1.
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return "malformed"
    l4 = (packet[0] & 15) * 4
    if l4 < 20:
        return "malformed"
    where = int.from_bytes(packet[6:8], "big")
    source, target = int.from_bytes(packet[12:16], "big"), int.from_bytes(packet[16:20], "big")
    identity = int.from_bytes(packet[4:6], "big")
    flow = Flow(False, packet[9], source, target, 0, 0)  # noqa: FBT003
    if l4 > len(packet):
        return _unreadable(flow, identity)
    if packet[9] not in {TCP, UDP, ICMP}:
        return "other_protocol"
    if where & 0x1FFF:
        return Packet(flow, l4, later_fragment=True, fragment_id=identity)
    return _read_ports(packet, flow, l4, identity, first=bool(where & 0x2000) or quoted)


def _read_v6(packet: bytes, *, quoted: bool) -> Packet | str:
    # RFC 8200, 3 and 4.
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return "malformed"
    source, target = int.from_bytes(packet[8:24], "big"), int.from_bytes(packet[24:40], "big")
    following, l4, first, identity, seen = packet[6], 40, False, 0, 0
    while following in _EXTENSIONS:
        seen += 1
        header = packet[l4 : l4 + 8]
        if seen > MOST_EXTENSIONS or len(header) < 8:
            # What would follow is not known.
            return _unreadable(Flow(True, 0, source, target, 0, 0), identity)  # noqa: FBT003
        if following == FRAGMENT:
            where = int.from_bytes(header[2:4], "big")
            # The outermost one says what this packet is; what it holds is for reassembly.
            if not first:
                identity = int.from_bytes(header[4:8], "big")
                if where >> 3:
                    # Its next header may differ from the first fragment's (4.5).
                    flow = Flow(True, 0, source, target, 0, 0)  # noqa: FBT003
                    return Packet(flow, l4 + 8, later_fragment=True, fragment_id=identity)
                # Offset 0 and none to follow: an atomic fragment is whole (RFC 6946).
                first = bool(where & 1)
            l4 += 8
        else:
            l4 += (header[1] + 1) * 8
        following = header[0]
    flow = Flow(True, following, source, target, 0, 0)  # noqa: FBT003
    if l4 > len(packet):
        return _unreadable(flow, identity)
    if following not in {TCP, UDP, ICMPV6}:
        return "other_protocol"
    return _read_ports(packet, flow, l4, identity, first=first or quoted)


def _unreadable(flow: Flow, identity: int) -> Packet | str:
    """What may be TCP or UDP, as far as one can see."""
    if flow.protocol not in ({0, TCP, UDP} if flow.v6 else {TCP, UDP}):
        return "malformed"
    return Packet(flow, 0, unreadable=True, fragment_id=identity)


def _read_ports(packet: bytes, flow: Flow, l4: int, identity: int, *, first: bool) -> Packet | str:
    if flow.protocol in {ICMP, ICMPV6}:
        return Packet(flow, l4, first_fragment=first, fragment_id=identity)
    # A first fragment has eight bytes of data at least (RFC 791, 3.2), and so the ports.
    whole_tcp = flow.protocol == TCP and not first
    if len(packet) < l4 + (20 if whole_tcp else 8):
        return _unreadable(flow, identity)
    if whole_tcp and packet[l4 + 12] >> 4 < 5:
        return _unreadable(flow, identity)
    source_port = int.from_bytes(packet[l4 : l4 + 2], "big")
    target_port = int.from_bytes(packet[l4 + 2 : l4 + 4], "big")
    flow = flow._replace(source_port=source_port, target_port=target_port)
    flags = packet[l4 + 13] if whole_tcp else 0
    return Packet(flow, l4, first_fragment=first, fragment_id=identity, flags=flags)
