"""Packets that no TCP would send, by raw socket or straight into a program."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from netplan_tproxy.kernel.bpf import maps as bpf_maps
from tests.lab.testrun import SkBuff, prog_test_run

if TYPE_CHECKING:
    from tests.datapath.support import Applied

Address = tuple[str, int]
SYN, RST, ACK = 0x02, 0x04, 0x10
MORE_FRAGMENTS = 0x2000
_ETHERNET = bytes(12) + b"\x08\x00"


def segment(
    source: Address,
    target: Address,
    flags: int,
    *,
    fragment: int = 0,
    number: int = 1,
    ihl: int = 5,
) -> bytes:
    """An IPv4 packet with a bare TCP header; the checksums are left to whoever cares."""
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], 1, 1, 5 << 4, flags, 1024, 0, 0)
    size = 20 + len(tcp)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    ip = struct.pack(
        "!BBHHHBBH", 4 << 4 | ihl, 0, size, number, fragment, 64, socket.IPPROTO_TCP, 0
    )
    return ip + ends + tcp


def send(on: Applied, packet: bytes, *, mark: int = 0) -> None:
    """Send an IP packet from HOST; the kernel fills in its length and checksum."""
    where = socket.inet_ntoa(packet[16:20])
    with on.lab.host.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        raw.sendto(packet, (where, 0))


def run(on: Applied, program: str, packet: bytes, cb: tuple[int, ...] = ()) -> int:
    """Feed an IP packet to a pinned program, which sees it on HOST's lo; its verdict."""
    skb = SkBuff(cb=(*cb, *bytes(5 - len(cb))))
    (pin,) = (on.pins / "programs").glob(f"{program}@*")
    with on.lab.host.entered(), bpf_maps.open_pinned(str(pin)) as fd:
        return prog_test_run(fd, _ETHERNET + packet, skb).retval
