"""Frames of every kind from a seed: well-formed, mutated, cut short, lying, and noise."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.packet_model import addresses, packets
from tests.packet_model.settings import LISTENING, SERVICE
from tests.packet_model.terms import AGAIN, TO_CLIENT, TO_PROXY, Cb, Input, handed_over
from tests.packet_model.wire import IPV4, IPV6, SERVICE_VLAN, TCP, UDP, VLAN, Flow

PROGRAMS = (
    "wan_egress", "wan_ingress", "lan_ingress", "lo_ingress", "lo_egress",
    "wan_egress_l3", "wan_ingress_l3", "lan_ingress_l3",
)  # fmt: skip
_WEIGHTS = (30, 5, 30, 5, 5, 12, 1, 12)
_ARP, _PPPOE, _OLD_QINQ = 0x0806, 0x8864, 0x9100
_MARKS = (0, 0, 0, 0, 1, 2, 0x20, 0x30002, 0x500, 0x580, 0x1000, 0x80000000, 0xFFFFFFFF)
_OTHERS = (_ARP, _PPPOE, _OLD_QINQ, 0x0600, 0x05FF, 0x002E, 0x88CC, 0xFFFF, 0)
_BORDERS = (0, 1, 0x3F, 0x40, 0x45, 0x46, 0x4F, 0x60, 0x7F, 0x80, 0xFF, 6, 17, 43, 44, 58, 60)


class Generator:
    """``macs`` by program, the address that a frame for its device goes to."""

    def __init__(
        self,
        seed: int,
        ifindexes: dict[str, int],
        macs: dict[str, bytes],
        known: Sequence[Flow] = (),
    ) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - it must be the same every time
        self._known = known
        self._ifindexes = ifindexes
        self._macs = macs

    def input(self) -> Input:
        """A frame that BPF_PROG_TEST_RUN takes, for one of the programs."""
        rng = self._rng
        (program,) = rng.choices(PROGRAMS, _WEIGHTS)
        if program.endswith("_l3"):
            frame = runnable(rng, self.raw_ip())
        else:
            frame = runnable(rng, self.frame(self._macs[program]))
        mark = rng.choice(_MARKS) if rng.random() < 0.9 else rng.getrandbits(32)
        came_by = self._ifindexes["lan_ingress"] if rng.random() < 0.03 else 0
        return Input(program, frame, self._ifindexes[program], mark, came_by, self._cb(program))

    def _cb(self, program: str) -> Cb:
        rng = self._rng
        dice = rng.random()
        here = self._ifindexes[program]
        if program == "lo_ingress" and dice < 0.7:
            device = self._ifindexes["wan_egress"]
            return handed_over(TO_PROXY, here, device, rng.choice((0, 1, 1, 2, 2, 6)), 7)
        if program.endswith(("ingress", "ingress_l3")) and dice < 0.03:
            return handed_over(TO_CLIENT, here)
        if dice < 0.1:
            # At times for another device.
            magic = rng.choice((TO_PROXY, TO_CLIENT, AGAIN))
            return handed_over(magic, here + rng.randrange(2), 0, rng.randrange(2))
        odd = (rng.choice((TO_PROXY, TO_CLIENT, AGAIN, 1, 0xFFFFFFFF)), 2, 3, 4, 5)
        return odd if dice < 0.2 else (0,) * 5

    def frame(self, mac: bytes) -> bytes:
        """An Ethernet frame, most of them to ``mac``."""
        rng = self._rng
        dice = rng.random()
        if dice < 0.02:
            return rng.randbytes(rng.randrange(14, 200))
        if rng.random() < 0.15:
            mac = rng.choice((b"\xff" * 6, b"\x01\0\x5e\0\0\1", rng.randbytes(6)))
        ends = mac + b"\x02\0\0\0\0\1"
        if dice < 0.04:
            return ends + rng.choice(_OTHERS).to_bytes(2, "big") + rng.randbytes(rng.randrange(60))
        protocol, packet = self._packet()
        frame = ends + protocol.to_bytes(2, "big") + packet
        if dice < 0.06:
            for _ in range(rng.choice((1, 1, 1, 2))):
                frame = ends + self._tag() + frame[12:]
        elif dice < 0.07:
            frame = ends + rng.choice((IPV4, IPV6)).to_bytes(2, "big") + packet
        return self._mutated(frame, 14)

    def _tag(self) -> bytes:
        """A VLAN tag; every other one has the id 0."""
        kind = self._rng.choice((VLAN, VLAN, SERVICE_VLAN)).to_bytes(2, "big")
        number = self._rng.choice((0, self._rng.getrandbits(12)))
        return kind + (self._rng.randrange(16) << 12 | number).to_bytes(2, "big")

    def raw_ip(self) -> bytes:
        """A packet for a device without link-layer header.

        A test run takes the protocol from bytes 12 and 13 whatever the device: they lie in the
        source address, which therefore is in 8.0.0.0/16 or has a third group of 86dd.
        """
        rng = self._rng
        if rng.random() < 0.02:
            return rng.randbytes(rng.randrange(14, 200))
        protocol, packet = self._packet()
        if rng.random() < 0.97:
            packet = packet[:12] + protocol.to_bytes(2, "big") + packet[14:]
        return self._mutated(packet, 0)

    def ip_packet(self) -> bytes:
        """A packet for a real device without link-layer header."""
        if self._rng.random() < 0.02:
            return self._rng.randbytes(self._rng.randrange(1, 200))
        return self._mutated(self._packet()[1], 0)

    def _packet(self) -> tuple[int, bytes]:
        if self._known and self._rng.random() < 0.1:
            return packets.of_flow(self._rng, self._rng.choice(self._known))
        return packets.v6(self._rng) if self._rng.random() < 0.45 else packets.v4(self._rng)

    def _mutated(self, frame: bytes, link: int) -> bytes:
        rng = self._rng
        dice = rng.random()
        if dice < 0.65:
            return frame
        if dice < 0.75:
            return frame[: rng.randrange(link + 1, max(len(frame), link + 2))]
        made = bytearray(frame)
        # Where the headers are; what they carry is of no interest to a parser.
        reach = min(len(made), link + 80)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            at = rng.randrange(link, reach)
            if dice < 0.85:
                made[at] ^= 1 << rng.randrange(8)
            elif dice < 0.95:
                made[at] = rng.choice(_BORDERS)
            else:
                made[at] = rng.getrandbits(8)
        return bytes(made)


def runnable(rng: random.Random, frame: bytes) -> bytes:
    """Fill up what BPF_PROG_TEST_RUN refuses: it wants the fixed IP header behind 14 bytes."""
    frame += rng.randbytes(max(0, 14 - len(frame)))
    kind = int.from_bytes(frame[12:14], "big")
    least = {IPV4: 34, IPV6: 54}.get(kind, 14)
    return frame + rng.randbytes(max(0, least - len(frame)))


def flows(rng: random.Random, count: int) -> list[Flow]:
    """Flows for what the programs remember."""
    found = []
    for number in range(count):
        v6 = rng.random() < 0.45
        ends = addresses.source(rng, v6=v6), addresses.target(rng, v6=v6)
        source, target = (int.from_bytes(end, "big") for end in ends)
        flow = Flow(v6, rng.choice((TCP, UDP)), source, target, *addresses.ports(rng))
        if number % 5 == 0:
            listener = 1 if v6 else 0x7F000001
            flow = flow._replace(source=listener, source_port=LISTENING, protocol=UDP)
        elif number % 5 == 1:
            # To a service of this host's, by way of a group; and its answer.
            group = int.from_bytes(addresses.group(rng, v6=v6), "big")
            question = flow._replace(target=group, target_port=SERVICE, protocol=UDP)
            found.append(question)
            flow = question._replace(target=flow.target).turned()
        found.append(flow)
    return found
