from __future__ import annotations

import sys

import pytest

from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf.compiler import compile_programs
from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.bpf.programs import load_program
from tests.datapath import support
from tests.datapath.support import WEB, Applied, echoes
from tests.lab import EchoServer, HttpServer
from tests.lab.isolate import BPFFS
from tests.lab.streams import read_all

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
OWN = "10.77.0.2"
_FOREIGN = """
BPF_TABLE("array", u32, u64, seen, 1);
int foreign(struct __sk_buff *skb)
{
    u32 zero = 0;
    u64 *packets = seen.lookup(&zero);

    if (packets && skb->protocol == 8)
        __sync_fetch_and_add(packets, 1);
    skb->mark |= MARK;
    return -1;
}
"""
HOOKS = [(device, hook) for device in ("wan0", "lo") for hook in ("ingress", "egress")]


class Foreign:
    """A filter of somebody else that counts IPv4 packets, and puts a mark on them."""

    def __init__(
        self, host: Applied, device: str, hook: str, *, prio: int = 30, mark: int = 0
    ) -> None:
        headers = str(datapath.bpf_directory() / "kbuild")
        module = compile_programs(
            _FOREIGN, headers=headers, defines={"MARK": str(mark)}, functions=("foreign",)
        )
        compiled = module.programs["foreign"]
        self._seen = bpf_maps.create_map(MapSpec("seen", 2, 4, 8, 1))
        program = load_program(
            name="foreign",
            prog_type=3,  # BPF_PROG_TYPE_SCHED_CLS
            insns=compiled.insns,
            license="GPL",
            relocs=compiled.relocs,
            maps={"seen": int(self._seen)},
        )
        pin = BPFFS / f"foreign-{device}-{hook}"
        bpf_maps.pin(program, str(pin))
        where = ["dev", device, hook, "prio", str(prio)]
        try:
            with program:
                classifier = ["bpf", "da", "object-pinned", str(pin)]
                host.lab.host.run(["tc", "filter", "add", *where, *classifier])
        finally:
            pin.unlink()

    @property
    def packets(self) -> int:
        return int.from_bytes(bpf_maps.lookup(self._seen, bytes(4), 8) or b"", sys.byteorder)


def test_filters_of_others_behind_ours_see_what_is_not_ours_and_only_that(fresh: Applied) -> None:
    others = {where: Foreign(fresh, *where) for where in HOOKS}
    with HttpServer(fresh.lab.net), fresh.client(mark=2) as direct:
        direct.connect(WEB)
        direct.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(direct)
    assert {others["wan0", hook].packets >= 4 for hook in ("ingress", "egress")} == {True}
    with EchoServer(fresh.lab.host, OWN, 7):
        with fresh.lab.net.socket() as inbound:
            assert echoes(inbound, (OWN, 7))
        with fresh.client() as local:
            assert echoes(local, (OWN, 7))
    with EchoServer(fresh.lab.host, "127.0.0.1", 7), fresh.client() as local:
        before = [others["lo", hook].packets for hook in ("ingress", "egress")]
        assert echoes(local, ("127.0.0.1", 7))
    after = [others["lo", hook].packets for hook in ("ingress", "egress")]
    assert min(after) > max(before)
    seen = {where: other.packets for where, other in others.items()}
    assert min(seen.values()) >= 4, seen

    with support.listener(fresh) as proxy:
        near, far = fresh.pair(proxy, "wan0")
        near.sendall(b"ours")
        assert far.recv(4) == b"ours"
        near.close()
        far.close()
    assert {where: other.packets for where, other in others.items()} == seen


@pytest.mark.parametrize("device", ["", "wan0"], ids=["unbound", "bound"])
def test_filters_of_others_in_front_of_ours_may_put_marks_on_what_we_redirect(
    fresh: Applied, device: str
) -> None:
    others = [Foreign(fresh, *where, prio=5, mark=0x40000) for where in HOOKS]
    with support.listener(fresh) as proxy:
        near, far = fresh.pair(proxy, device)
        with near, far:
            for one, two in ((near, far), (far, near)):
                one.sendall(b"hello")
                assert two.recv(5) == b"hello"
    seen = [other.packets > 0 for other in others]
    assert seen == [device == "wan0", True, True, True]
