"""What this kernel supports of BPF, known by trying: load something, and drop it."""

from __future__ import annotations

import contextlib
import logging
import re
import struct
from collections.abc import Sequence

from netplan_tproxy.datapath import build, fastpath, layouts
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf import programs as bpf_programs

SCHED_CLS = 3
# Numbers of enum bpf_func_id (linux/bpf.h) that the programs call, by name.
HELPERS = {
    "bpf_map_lookup_elem": 1, "bpf_map_update_elem": 2, "bpf_map_delete_elem": 3,
    "bpf_ktime_get_ns": 5, "bpf_get_smp_processor_id": 8, "bpf_skb_store_bytes": 9,
    "bpf_l3_csum_replace": 10, "bpf_l4_csum_replace": 11, "bpf_clone_redirect": 13,
    "bpf_skb_vlan_pop": 19, "bpf_redirect": 23, "bpf_skb_load_bytes": 26, "bpf_csum_diff": 28,
    "bpf_skb_change_proto": 31, "bpf_skb_change_type": 32, "bpf_skb_change_tail": 38,
    "bpf_skb_pull_data": 39, "bpf_skb_change_head": 43, "bpf_get_socket_cookie": 46,
    "bpf_get_socket_uid": 47, "bpf_skb_adjust_room": 50, "bpf_fib_lookup": 69,
    "bpf_skb_ancestor_cgroup_id": 83, "bpf_sk_lookup_tcp": 84, "bpf_sk_lookup_udp": 85,
    "bpf_sk_release": 86, "bpf_sk_fullsock": 95, "bpf_tcp_sock": 96, "bpf_skc_lookup_tcp": 99,
    "bpf_sk_storage_get": 107, "bpf_sk_storage_delete": 108, "bpf_probe_read_kernel": 113,
    "bpf_sk_assign": 124, "bpf_skc_to_tcp_timewait_sock": 138,
}  # fmt: skip
# What the fast path calls besides, by program (bpf_skc_to_mptcp_sock came last, with 5.19).
FAST_HELPERS = {
    fastpath.SOCKOPS: {
        "bpf_get_socket_cookie": 46, "bpf_sock_ops_cb_flags_set": 59, "bpf_sock_hash_update": 70,
        "bpf_sk_storage_get": 107, "bpf_get_netns_cookie": 122, "bpf_skc_to_mptcp_sock": 196,
    },
    fastpath.MSG: {
        "bpf_msg_redirect_hash": 71, "bpf_sk_storage_get": 107, "bpf_skc_to_tcp_sock": 137,
    },
}  # fmt: skip
# Called only where the kernel says that it has them (``build.field_offsets``).
OPTIONAL = {"bpf_skc_to_tcp_timewait_sock", "bpf_probe_read_kernel"}
_UNKNOWN = re.compile(r"(invalid|unknown) func |cannot use helper|not supported")
_MOV_R0_0 = struct.pack("=BBhi", 0xB7, 0, 0, 0)
_EXIT = struct.pack("=BBhi", 0x95, 0, 0, 0)

_log = logging.getLogger(__name__)


def try_bpf() -> None:
    """Load a tc program that does nothing. Raises TproxyError."""
    _load(_MOV_R0_0 + _EXIT)


def lacks(helper: str) -> bool:
    """Whether this kernel refuses a helper to tc programs."""
    return _lacks(helper, HELPERS[helper], SCHED_CLS)


def missing_for_fastpath() -> list[str]:
    """Name the helpers that this kernel refuses to the programs of the fast path."""
    return sorted(
        {
            name
            for program, helpers in FAST_HELPERS.items()
            for name, number in helpers.items()
            if _lacks(name, number, fastpath.TYPES[program].program)
        }
    )


def _lacks(helper: str, number: int, prog_type: int) -> bool:
    call = struct.pack("=BBhi", 0x85, 0, 0, number)
    missing = False
    try:
        _load(call + _MOV_R0_0 + _EXIT, prog_type)
    except TproxyError as refusal:
        # Of a helper that it knows the verifier misses the arguments.
        missing = _UNKNOWN.search(str(refusal)) is not None
    _log.debug("  bpf: helper %s: %s", helper, "missing" if missing else "there")
    return missing


def _load(insns: bytes, prog_type: int = SCHED_CLS) -> None:
    bpf_programs.load_program(
        name="probe", prog_type=prog_type, insns=insns, license="GPL", relocs=(), maps={},
        quiet=True,
    ).close()  # fmt: skip


def refused_maps() -> list[str]:
    """Create each of our maps and drop it. Gives a line for each that the kernel refuses."""
    refused = []
    for layout in layouts.MAPS:
        try:
            bpf_maps.create_map(layout).close()
        except KernelError as refusal:
            refused.append(str(refusal))
    return refused


def try_programs(names: Sequence[str]) -> None:
    """Compile and load programs as an apply would, and drop them. Raises TproxyError."""
    for source in dict.fromkeys(map(datapath.source_of, names)):
        _try_source(source, [name for name in names if datapath.source_of(name) == source])


def _try_source(source: str, names: Sequence[str]) -> None:
    module = build.compile_source(build.source_of(source, names))
    used = {name: {of for _, of in module.programs[name].relocs} for name in names}
    with contextlib.ExitStack() as held:
        maps = {
            layout.name: int(held.enter_context(bpf_maps.create_map(layout)))
            for layout in (*layouts.MAPS, *fastpath.MAPS)
            if layout.name in set().union(*used.values())
        }
        for name in names:
            compiled = module.programs[name]
            build.load(name, compiled, {each: maps[each] for each in used[name]}).close()
