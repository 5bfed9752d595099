"""The prio, handle and names of our filters."""

from __future__ import annotations

from netplan_tproxy.kernel.netlink.tc import ETH_P_ALL, FilterRecord

# Not prio 1, handle 1: others sit there, and replace each other (cilium and datadog did).
PRIO = 20
# Where every packet begins.
CHAIN = 0
HANDLE = 0x79
_PREFIX = "netplan-tproxy/"


def filter_name(program: str) -> str:
    """Name the filter that runs ``program`` (at most 256 bytes, TCA_BPF_NAME)."""
    return _PREFIX + program


def program_of(name: str) -> str:
    """Give the program that a filter of this name runs; "" if the name isn't ours."""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else ""


def is_in_our_place(record: FilterRecord) -> bool:
    """Whether a filter is ours, or keeps ours from its place.

    All filters of one prio of a chain are of one kind and protocol (tc(8)): beside a stranger
    ours would be refused whatever its handle. Another chain has places of its own.
    """
    stranger = record.what != "bpf" or record.protocol != ETH_P_ALL
    there = (record.chain, record.prio) == (CHAIN, PRIO)
    return there and (record.handle == HANDLE or stranger)


def is_ours(record: FilterRecord) -> bool:
    """Whether a filter has our chain, prio, handle and a name of ours."""
    ours = (record.chain, record.prio, record.handle) == (CHAIN, PRIO, HANDLE)
    return ours and bool(program_of(record.name))
