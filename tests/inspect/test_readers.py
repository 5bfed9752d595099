"""The readers behind ``--status`` and ``--explain``, against what other tools see."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.bpf import dump as bpf_read
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.netlink.route_get import way_to
from netplan_tproxy.kernel.sockets import listeners
from netplan_tproxy.kernel.sockets.diag import ESTABLISHED, LISTEN, sockets
from netplan_tproxy.kernel.sockets.owners import owners

if TYPE_CHECKING:
    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

HASH, PERCPU_HASH, LRU_HASH = 1, 5, 9


def filled(kind: int, count: int) -> tuple[Any, dict[bytes, bytes]]:
    spec = MapSpec("test", kind, 8, 8, 20_000)
    fd = bpf_maps.create_map(spec)
    cpus = bpf_maps.possible_cpus() if kind == PERCPU_HASH else 1
    content = {struct.pack("=Q", n): struct.pack("=Q", n * 3) * cpus for n in range(count)}
    if kind == PERCPU_HASH:
        for key, value in content.items():
            bpf_maps.update(fd, key, value)
    else:
        bpf_maps.update_many(fd, list(content.items()))
    return fd, content


@pytest.mark.parametrize("count", [0, 1, 4000, 12_000])
@pytest.mark.parametrize("kind", [HASH, PERCPU_HASH, LRU_HASH])
def test_a_map_is_read_whole_and_once(kind: int, count: int) -> None:
    fd, content = filled(kind, count)
    with fd:
        found = list(bpf_read.entries(fd))
    assert len(found) == count
    assert dict(found) == content


def test_a_kernel_without_batches_is_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(function: str, *_: object, what: str) -> int:
        assert function == "bpf_map_lookup_batch"
        raise KernelError(what, errno.EINVAL)

    fd, content = filled(HASH, 50)
    monkeypatch.setattr(bpf_read, "call", refuse)
    with fd:
        assert dict(bpf_read.entries(fd)) == content


def test_another_refusal_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(function: str, *_: object, what: str) -> int:
        raise KernelError(f"{what}: {function}", errno.EPERM)

    fd, _ = filled(HASH, 1)
    monkeypatch.setattr(bpf_read, "call", refuse)
    with fd, pytest.raises(KernelError, match="read map"):
        list(bpf_read.entries(fd))


def test_the_way_to_an_address_is_that_of_ip_route_get(lan_lab: Lab) -> None:
    host = lan_lab.host
    host.run(["ip", "rule", "add", "fwmark", "0x40", "lookup", "77"])
    host.run(["ip", "route", "add", "local", "default", "dev", "lo", "table", "77"])
    host.run(["ip", "route", "add", "blackhole", "20.9.0.0/16"])
    host.run(["ip", "route", "add", "unreachable", "20.8.0.0/16"])
    with host.entered():
        way = way_to("1.1.1.1")
        assert (way.type, way.source, way.gateway) == ("unicast", "10.77.0.2", "10.77.0.1")
        assert socket.if_indextoname(way.ifindex) == "wan0"
        for address in ("10.77.0.2", "10.79.0.1", "127.0.0.1", "127.9.9.9", "::1"):
            assert way_to(address).type == "local"
        assert way_to("1.1.1.1", mark=0x40).type == "local"
        assert way_to("10.77.0.255").type == "broadcast"
        assert way_to("20.9.1.1").type == "blackhole"
        assert way_to("20.8.1.1").type == "unreachable"
        lan = socket.if_nametoindex("lan0")
        assert way_to("1.1.1.1", source="10.79.0.2", iif=lan).type == "unicast"
        assert way_to("1.1.1.1", source="10.79.0.2", iif=lan, mark=0x40).type == "local"
        assert way_to("1.1.1.1", source="10.99.0.1").type == "unreachable"
        with pytest.raises(KernelError):
            way_to("1.1.1.1", oif=4_000_000)


def test_sockets_are_those_that_ss_shows(lab: Lab) -> None:
    held = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = lab.host.socket(family)
        server.bind((address, 0))
        server.listen(7)
        client = lab.host.socket(family)
        client.connect(server.getsockname())
        held += [server, client]
    shown = lab.host.run(["ss", "-Htane"]).stdout
    inodes = {int(number) for number in re.findall(r"ino:(\d+)", shown)}
    with lab.host.entered():
        found = [
            one
            for family in (socket.AF_INET, socket.AF_INET6)
            for one in sockets("tcp", family, LISTEN, ESTABLISHED)
        ]
    assert {one.inode for one in found} == inodes
    for server, client in zip(held[::2], held[1::2], strict=True):
        (listening,) = (one for one in found if one.inode == os.fstat(server.fileno()).st_ino)
        assert (listening.queued, listening.backlog) == (1, 7)
        (near,) = (one for one in found if one.inode == os.fstat(client.fileno()).st_ino)
        assert (near.local, near.port) == client.getsockname()[:2]
        assert near.remote_end == listening.end
        assert os.getpid() in {pid for pid, _ in owners([near.inode])[near.inode]}
    for one in held:
        one.close()


@pytest.mark.parametrize("only", [0, 1])
def test_an_ipv6_socket_takes_ipv4_too_unless_it_says_otherwise(lab: Lab, only: int) -> None:
    with lab.host.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        server.bind(("::", 9040))
        server.listen()
        with lab.host.entered():
            found = listeners.at(listeners.all_listeners(), "tcp", "127.0.0.1", 9040)
        with lab.host.socket() as client:
            reached = client.connect_ex(("127.0.0.1", 9040)) == 0
        assert bool(found) is reached is not bool(only)


def test_the_address_itself_goes_before_any_address(lab: Lab) -> None:
    made = []
    for address in ("0.0.0.0", "127.0.0.1"):
        server = lab.host.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((address, 9040))
        server.listen()
        made.append(server)
    with lab.host.entered():
        found = listeners.at(listeners.all_listeners(), "tcp", "127.0.0.1", 9040)
    assert [one.local for one in found] == ["127.0.0.1", "0.0.0.0"]
    for one in made:
        one.close()


def test_who_holds_none_of_them_among_its_first_descriptors_is_not_looked_at_further() -> None:
    with socket.socket() as first, contextlib.ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(socket.socket())
        last = stack.enter_context(socket.socket())
        early, late = (os.fstat(one.fileno()).st_ino for one in (first, last))
        few = first.fileno() + 10
        assert owners([late]).keys() == {late}
        assert owners([late], few).keys() == set()
        assert owners([early], few).keys() == {early}
        assert owners([early, late], few).keys() <= {early, late}
        assert owners([early, late], last.fileno()).keys() == {early, late}
