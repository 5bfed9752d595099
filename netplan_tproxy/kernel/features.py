"""What is asked of Linux, since which version it has it, and what happens without it. Pure.

Whether the running kernel has something is tried, for distributions bring things of later
kernels to earlier ones: the version is for words. docs/features.md is made from this.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from netplan_tproxy.kernel.host.release import linux_version

Version = tuple[int, int]

# Who asks. Without what the first asks for nothing can be intercepted; the last do without.
EVERY, RAW_IP, FASTPATH = "every site", "tun and its like", "fastpath"
TCX, NOBODY = "attach: tcx", "nothing"
_REFUSED = {
    EVERY: "nothing is intercepted: refused",
    RAW_IP: "devices without a link-layer header (tun, WireGuard, PPP) are refused",
    FASTPATH: "`fastpath` is refused",
    TCX: "`attach: tcx` is refused, and `auto` takes filters",
}


class Feature(NamedTuple):
    """``kind`` in the kernel's word (helper, map type, …); ``number`` is a helper's.

    ``needed_by`` is who is refused without it; NOBODY: ``without`` says what happens then.
    """

    name: str
    kind: str
    since: Version
    needed_by: str
    why: str
    without: str = ""
    number: int = 0

    @property
    def consequence(self) -> str:
        """What happens on a kernel that lacks it."""
        return self.without or _REFUSED[self.needed_by]


def _helpers(needed_by: str, *rows: tuple[str, int, Version, str]) -> tuple[Feature, ...]:
    return tuple(
        Feature(name, "helper", since, needed_by, why, number=number)
        for name, number, since, why in rows
    )


# What tc programs call. The version is the one since which *they* may.
TC_HELPERS = (
    *_helpers(
        EVERY,
        ("bpf_map_lookup_elem", 1, (3, 19), "the configuration and the tables"),
        ("bpf_map_update_elem", 2, (3, 19), "the tables"),
        ("bpf_map_delete_elem", 3, (3, 19), "the tables"),
        ("bpf_ktime_get_ns", 5, (4, 1), "how old a flow is"),
        ("bpf_skb_store_bytes", 9, (4, 1), "answers that a program makes"),
        ("bpf_l3_csum_replace", 10, (4, 1), "answers that a program makes"),
        ("bpf_l4_csum_replace", 11, (4, 1), "answers that a program makes"),
        ("bpf_clone_redirect", 13, (4, 2), "the reset before a SYN to a port in TIME_WAIT"),
        ("bpf_skb_vlan_pop", 19, (4, 3), "frames with a priority tag"),
        ("bpf_redirect", 23, (4, 4), "to `lo`, and back"),
        ("bpf_skb_load_bytes", 26, (4, 5), "headers"),
        ("bpf_csum_diff", 28, (4, 6), "answers that a program makes"),
        ("bpf_skb_change_type", 32, (4, 8), "frames that carry another's address"),
        ("bpf_skb_change_tail", 38, (4, 9), "answers that a program makes"),
        ("bpf_get_socket_cookie", 46, (4, 12), "whose a UDP flow is"),
        ("bpf_get_socket_uid", 47, (4, 12), "`bypass.users`"),
        ("bpf_fib_lookup", 69, (4, 18), "what is for this host itself"),
        ("bpf_skb_ancestor_cgroup_id", 83, (4, 19), "`bypass.cgroups`"),
        ("bpf_sk_lookup_udp", 85, (4, 20), "the listener"),
        ("bpf_sk_release", 86, (4, 20), "sockets that were looked up"),
        ("bpf_sk_fullsock", 95, (5, 1), "the sender's socket"),
        ("bpf_tcp_sock", 96, (5, 1), "whether a client has seen a byte acknowledged"),
        ("bpf_skc_lookup_tcp", 99, (5, 2), "the listener, and the proxy's end of a connection"),
        ("bpf_sk_storage_get", 107, (5, 2), "the verdict in the client's socket"),
        ("bpf_sk_storage_delete", 108, (5, 2), "a socket that connects again"),
        ("bpf_sk_assign", 124, (5, 7), "giving a packet to the listener"),
    ),
    *_helpers(
        RAW_IP, ("bpf_skb_change_head", 43, (5, 8), "a link-layer header on the way to `lo`")
    ),
    Feature(
        "bpf_skc_to_tcp_timewait_sock", "helper", (5, 9), NOBODY, "ports that are used again",
        "a port that is used again at once costs a round trip more", 138,
    ),
    Feature(
        "bpf_probe_read_kernel", "helper", (5, 8), NOBODY,
        "whether a listener is transparent, before Linux 6.2",
        "before Linux 6.2 any user's socket on the proxy's port is taken for the proxy", 113,
    ),
)  # fmt: skip
# What the fast path's programs call, each for itself.
SOCKOPS_HELPERS = _helpers(
    FASTPATH,
    ("bpf_map_lookup_elem", 1, (4, 13), "the configuration and the tables"),
    ("bpf_map_update_elem", 2, (4, 13), "the tables"),
    ("bpf_map_delete_elem", 3, (4, 13), "the tables"),
    ("bpf_get_socket_cookie", 46, (4, 19), "the names of the two ends"),
    ("bpf_sock_ops_cb_flags_set", 59, (4, 16), "when a socket closes"),
    ("bpf_sock_hash_update", 70, (4, 18), "enrolling a socket"),
    ("bpf_sk_storage_get", 107, (5, 8), "the verdict in the client's socket"),
    ("bpf_sk_storage_delete", 108, (5, 8), "a socket that leaves"),
    ("bpf_get_netns_cookie", 122, (5, 15), "telling network namespaces apart"),
    ("bpf_skc_to_mptcp_sock", 196, (5, 19), "leaving Multipath TCP out"),
)
MSG_HELPERS = _helpers(
    FASTPATH,
    ("bpf_map_lookup_elem", 1, (4, 17), "the configuration and the tables"),
    ("bpf_map_update_elem", 2, (4, 17), "the tables"),
    ("bpf_msg_redirect_hash", 71, (4, 18), "the other end's queue"),
    ("bpf_sk_storage_get", 107, (5, 8), "what is known of a pair"),
    ("bpf_skc_to_tcp_sock", 137, (5, 9), "how much waits for a reader"),
)
SCHED_CLS, SOCK_OPS, SK_MSG = 3, 13, 16
# By enum bpf_prog_type.
HELPERS = {SCHED_CLS: TC_HELPERS, SOCK_OPS: SOCKOPS_HELPERS, SK_MSG: MSG_HELPERS}

_ONE_BY_ONE = "entries go in and out one by one: thousands of networks take longer"
_NO_RESET = (
    "connections that a change takes the way from are not reset: they end in a timeout, or by "
    "what the far end says"
)
OTHERS = (
    Feature("BPF_PROG_TYPE_SCHED_CLS", "program type", (4, 1), EVERY, "all but the fast path"),
    Feature("BPF_PROG_TYPE_SOCK_OPS", "program type", (4, 13), FASTPATH, "who takes part"),
    Feature("BPF_PROG_TYPE_SK_MSG", "program type", (4, 17), FASTPATH, "where a message goes"),
    Feature("clsact", "qdisc", (4, 5), EVERY, "where filters are (CONFIG_NET_CLS_ACT)"),
    Feature("BPF_CGROUP_SOCK_OPS", "attach type", (4, 13), FASTPATH, "the cgroup"),
    Feature("BPF_SK_MSG_VERDICT", "attach type", (4, 17), FASTPATH, "the map of sockets"),
    Feature("BPF_TCX_INGRESS, BPF_TCX_EGRESS", "attach type", (6, 6), TCX, "in front of filters"),
    Feature("BPF_LINK_CREATE", "call", (5, 7), TCX, "links, which a pin keeps"),
    Feature("BPF_F_BEFORE", "flag", (6, 6), TCX, "in front of others' programs"),
    Feature("BPF_F_REPLACE", "flag", (5, 6), FASTPATH, "new programs in one step"),
    Feature("BPF_MAP_TYPE_LPM_TRIE", "map type", (4, 11), EVERY, "sets of networks"),
    Feature("BPF_MAP_TYPE_HASH_OF_MAPS", "map type", (4, 12), EVERY, "a set in one step"),
    Feature("BPF_MAP_TYPE_LRU_HASH", "map type", (4, 10), EVERY, "flows of UDP"),
    Feature("BPF_MAP_TYPE_SK_STORAGE", "map type", (5, 2), EVERY, "verdicts in sockets"),
    Feature("BPF_MAP_TYPE_SOCKHASH", "map type", (4, 18), FASTPATH, "sockets that take part"),
    Feature("BPF_MAP_FREEZE", "call", (5, 2), EVERY, "sets that nobody changes"),
    Feature("more than 4096 instructions", "verifier", (5, 2), EVERY, "wan_egress has more"),
    Feature(
        "BPF_MAP_UPDATE_BATCH", "call", (5, 6), NOBODY, "sets, and reading tables", _ONE_BY_ONE
    ),
    Feature(
        "CAP_BPF, CAP_PERFMON", "capability", (5, 8), NOBODY, "doing without CAP_SYS_ADMIN",
        "CAP_SYS_ADMIN is asked for instead",
    ),
    Feature(
        "SO_NETNS_COOKIE", "socket option", (5, 14), NOBODY, "naming pins and state",
        "they are named by the namespace's inode, which may come back after a namespace is gone",
    ),
    Feature(
        "INET_DIAG_SK_BPF_STORAGES", "sock_diag", (5, 7), NOBODY,
        "whose connections lose their way", _NO_RESET,
    ),
    Feature(
        "SOCK_DESTROY", "sock_diag", (4, 5), NOBODY,
        "resetting what loses its way (CONFIG_INET_DIAG_DESTROY)", _NO_RESET,
    ),
    Feature(
        "INET_DIAG_SOCKOPT", "sock_diag", (5, 10), NOBODY, "`--doctor`, and what an apply warns of",
        "whether the listener is transparent is not told beforehand",
    ),
    Feature(
        "/sys/kernel/btf/vmlinux", "file", (5, 4), FASTPATH,
        "where fields are in the kernel's structs (CONFIG_DEBUG_INFO_BTF)",
        "`fastpath` is refused; any user's socket on the proxy's port is taken for the proxy; a "
        "port that is used again at once costs a round trip more",
    ),
    Feature(
        "bpf_rdonly_cast", "kfunc", (6, 2), NOBODY, "whether a listener is transparent",
        "bpf_probe_read_kernel reads it, unless lockdown is confidentiality; else any user's "
        "socket on the proxy's port is taken for the proxy",
    ),
    Feature(
        "bpf_sk_assign of SO_REUSEPORT", "helper", (6, 6), NOBODY, "listeners that share a port",
        "a listener with SO_REUSEPORT gets nothing, and apply and `--doctor` say so",
    ),
    Feature(
        "mark in struct bpf_fib_lookup", "field", (6, 10), NOBODY,
        "default routes that only a mark leads to",
        "what would take such a route goes out directly",
    ),
)  # fmt: skip
ALL = (*TC_HELPERS, *SOCKOPS_HELPERS, *MSG_HELPERS, *OTHERS)


def named(name: str) -> Feature:
    """Give a feature by its name. Raises StopIteration for none of that name."""
    return next(one for one in ALL if one.name == name)


def helper(prog_type: int, name: str, number: int) -> Feature:
    """Give the helper with a number, whatever the kernel calls it: older ones name none."""
    known = (one for one in HELPERS.get(prog_type, ()) if one.number == number)
    return next(known, Feature(name, "helper", (0, 0), NOBODY, "", number=number))


def needed(by: str) -> Feature:
    """Give what came last of all that ``by`` needs: it says which Linux."""
    return max((one for one in ALL if one.needed_by == by), key=lambda one: one.since)


def written(version: Version) -> str:
    """Give a version as people write it."""
    return f"{version[0]}.{version[1]}"


def lacking(what: str, missing: Collection[Feature]) -> str:
    """Say that ``what`` needs what this kernel was seen to lack."""
    last = max(missing, key=lambda one: one.since)
    now = linux_version()
    if now < last.since:
        return f"{what} needs Linux {written(last.since)} ({last.name}), this is {written(now)}"
    names = ", ".join(sorted({one.name for one in missing}))
    return f"{what} needs {names}, which this Linux {written(now)} was built without"
