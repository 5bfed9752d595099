"""What a policy routing rule selects and does, in the words of ip-rule(8). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TABLES = {253: "default", 254: "main", 255: "local"}
# FR_ACT_… of linux/fib_rules.h, besides looking a table up.
_ACTIONS = {2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}
_ADDRESS_BITS = {2: 32, 10: 128}
_KNOWN = {
    "FRA_SRC", "FRA_DST", "FRA_IIFNAME", "FRA_OIFNAME", "FRA_UID_RANGE", "FRA_IP_PROTO",
    "FRA_SPORT_RANGE", "FRA_DPORT_RANGE", "FRA_TUN_ID", "FRA_L3MDEV",
}  # fmt: skip
# FRA_SPORT_MASK and FRA_DPORT_MASK come with each port (Linux 6.15); pyroute2 does not know them.
_PORT_MASKS = {28, 29}


def ends(family: int, rule: Any, attrs: Mapping[str, Any]) -> str:
    """Return what stands before the mark: ``from 10.0.0.0/8 to 1.1.1.1 tos 0x10``."""
    source = _network(family, attrs.get("FRA_SRC"), rule["src_len"])
    target = _network(family, attrs.get("FRA_DST"), rule["dst_len"])
    words = [f"from {source or 'all'}"]
    words += [f"to {target}"] if target else []
    words += [f"tos {rule['tos']:#x}"] if rule["tos"] else []
    return " ".join(words)


def rest(attrs: Mapping[str, Any]) -> str:
    """Return what stands behind the mark: ``iif lo ipproto tcp dport 80``."""
    return " ".join(_rest(attrs))


def _rest(attrs: Mapping[str, Any]) -> Iterator[str]:
    for name, word in (("FRA_IIFNAME", "iif"), ("FRA_OIFNAME", "oif")):
        if name in attrs:
            yield f"{word} {attrs[name]}"
    if attrs.get("FRA_L3MDEV"):
        yield "lookup l3mdev"
    if "FRA_UID_RANGE" in attrs:
        yield f"uidrange {str(attrs['FRA_UID_RANGE']).replace(':', '-')}"
    if "FRA_IP_PROTO" in attrs:
        number = attrs["FRA_IP_PROTO"]
        yield f"ipproto {_PROTOCOLS.get(number, number)}"
    for name, word in (("FRA_SPORT_RANGE", "sport"), ("FRA_DPORT_RANGE", "dport")):
        if name in attrs:
            low, _, high = str(attrs[name]).partition(":")
            yield f"{word} {low}" + (f"-{high}" if high != low else "")
    if "FRA_TUN_ID" in attrs:
        yield f"tun_id {attrs['FRA_TUN_ID']}"


def action(number: int, table: int) -> str:
    """Return what the rule does: ``lookup main``, ``blackhole``."""
    return _ACTIONS.get(number) or f"lookup {_TABLES.get(table, table)}"


def is_known(name: str, value: Any) -> bool:
    """Whether ``ends`` and ``rest`` have words for an attribute."""
    return name in _KNOWN or (name == "UNKNOWN" and value["header"]["type"] in _PORT_MASKS)


def _network(family: int, address: Any, length: int) -> str:
    if address is None and not length:
        return ""
    bits = _ADDRESS_BITS[family]
    return f"{address}/{length}" if length != bits else f"{address}"
