"""Frames that really arrive at a device of HOST, cut short as no test run can have them."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.lab.patience import PATIENCE
from tests.packet_model.generate import Generator
from tests.packet_model.model import Model
from tests.packet_model.stage import Stage
from tests.packet_model.terms import Input
from tests.packet_model.wire import IPV4, IPV6, SERVICE_VLAN, VLAN, protocol_of

Send = Callable[[bytes], object]

_TUNSETIFF, _IFF_TUN = 0x400454CA, 1
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20  # packet(7); the egress filter is passed by as well
_VLAN_HEADER = 4


def silence(stage: Stage) -> None:
    """Let LAN say nothing of its own, so that what arrives is only what a test sends.

    Without addresses it still leaves its multicast groups, seconds later.
    """
    assert stage.lab.lan is not None
    for family in ("-4", "-6"):
        stage.lab.lan.run(["ip", family, "address", "flush", "dev", "eth0"])
    stage.lab.lan.run(["tc", "qdisc", "replace", "dev", "eth0", "clsact"])
    drop = "filter replace dev eth0 egress prio 1 handle 1 protocol all bpf da bytecode"
    stage.lab.lan.run(["tc", *drop.split(), "1,6 0 0 2,"])


@contextmanager
def wire(stage: Stage) -> Iterator[Send]:
    """Send Ethernet frames from LAN to HOST's ``lan0``."""
    assert stage.lab.lan is not None
    with stage.lab.lan.entered():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with raw:
        raw.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        raw.bind(("eth0", 0))
        yield raw.send


@contextmanager
def tunnel(stage: Stage, device: str) -> Iterator[Send]:
    """Let packets arrive at a tun device of HOST, each behind its ``struct tun_pi``."""
    with stage.lab.host.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN))
        yield lambda packet: os.write(fd, packet)
    finally:
        os.close(fd)


def frames(generator: Generator, mac: bytes, count: int) -> list[bytes]:
    """Ethernet frames; whole VLAN tags or none, for the kernel drops half a one unseen."""
    found = [generator.frame(mac) for _ in range(count)]
    return [
        frame for frame in found
        if len(frame) > 20 or protocol_of(frame) not in {VLAN, SERVICE_VLAN}
    ]  # fmt: skip


def arriving(frame: bytes, program: str, ifindex: int) -> Input:
    """What a program sees of a frame: the kernel has taken the outer tag off."""
    if protocol_of(frame) not in {VLAN, SERVICE_VLAN}:
        return Input(program, frame, ifindex)
    vlan = int.from_bytes(frame[14:16], "big") & 0xFFF
    return Input(program, frame[:12] + frame[16:], ifindex, vlan=vlan)


def tun_packets(generator: Generator, count: int) -> list[bytes]:
    """IP packets, each behind flags and a protocol that it may not keep to."""
    found = []
    for number in range(count):
        packet = generator.ip_packet()
        protocol = IPV6 if packet[0] >> 4 == 6 else IPV4
        if number % 50 == 0:
            protocol ^= IPV4 ^ IPV6
        found.append(struct.pack("!HH", 0, protocol) + packet)
    return found


def differences(
    stage: Stage, model: Model, send: Send, inputs: Sequence[tuple[bytes, Input]]
) -> str:
    """Send all; say in what the counters and the model differ, "" if in nothing.

    Bytes are not compared: a VLAN tag that the kernel has taken off does not count.
    """
    stage.forget()
    ifindex = inputs[0][1].ifindex
    wanted: Counter[str] = Counter()
    before = _packets(stage, ifindex)
    for raw, given in inputs:
        for _, outcome in model.judge(given).counted:
            wanted[outcome] += 1
        send(raw)
    deadline = time.monotonic() + PATIENCE
    while (counted := _packets(stage, ifindex) - before).total() < wanted.total():
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return "" if counted == wanted else f"lack {wanted - counted} and have {counted - wanted}"


def first_difference(
    stage: Stage, model: Callable[[], Model], send: Send, inputs: Sequence[tuple[bytes, Input]]
) -> str:
    """Halve until the frame is found that makes the first difference; "" if there is none."""
    complaint = differences(stage, model(), send, inputs)
    if not complaint:
        return ""
    low, high = 0, len(inputs)
    while high - low > 1:
        middle = (low + high) // 2
        if differences(stage, model(), send, inputs[:middle]):
            high = middle
        else:
            low = middle
    return f"{complaint}\nfrom frame {high - 1}: {inputs[high - 1][0].hex()}"


def _packets(stage: Stage, ifindex: int) -> Counter[str]:
    return Counter(
        {
            outcome: number
            for (device, outcome, what), number in stage.counters().items()
            if device == ifindex and what == "packets"
        }
    )
