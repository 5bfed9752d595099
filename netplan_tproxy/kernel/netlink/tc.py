"""Qdiscs and filters at a device's ingress and egress over rtnetlink, as plain values."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Any

from netplan_tproxy.kernel.netlink.answer import Reading
from netplan_tproxy.kernel.netlink.channel import CREATE, EXCL, REPLACE
from netplan_tproxy.kernel.netlink.pyroute import decoded, encoded
from netplan_tproxy.kernel.netlink.socket import Rtnetlink

ETH_P_ALL = 0x0003
CLSACT_INGRESS = 0xFFFFFFF2
CLSACT_EGRESS = 0xFFFFFFF3
CLSACT_PARENT = 0xFFFFFFF1
_CLSACT_HANDLE = 0xFFFF0000
_TCA_BPF_FLAG_ACT_DIRECT = 1
_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_NEWFILTER, _DELFILTER, _GETFILTER = 44, 45, 46


@dataclass(frozen=True)
class FilterRecord:
    """A filter on a clsact hook; ``prog_id`` is 0 unless it is a bpf filter."""

    parent: int
    prio: int
    handle: int
    what: str
    name: str
    prog_id: int
    protocol: int = ETH_P_ALL
    direct: bool = True
    chain: int = 0


class TrafficControl(Rtnetlink):
    """What tc(8) shows and changes."""

    def ingress_qdiscs(self) -> dict[int, str]:
        """Name the qdiscs at the ingress hooks ("clsact", "ingress"), by ifindex."""

        def parse(reading: Reading) -> list[tuple[int, str]]:
            qdiscs = (decoded("tcmsg", message) for message in reading.messages)
            return [
                (qdisc["index"], str(qdisc.get_attr("TCA_KIND")))
                for qdisc in qdiscs
                if qdisc["parent"] == CLSACT_PARENT
            ]

        return dict(self._listed("qdiscs", _GETQDISC, encoded("tcmsg"), parse))

    def add_clsact(self, ifindex: int) -> None:
        """Add a clsact qdisc (tc-bpf(8)); one that is there already is fine."""
        with self._doing("add clsact", errno.EEXIST):
            self._channel.change(_NEWQDISC, _clsact_body(ifindex), CREATE | EXCL)

    def del_clsact(self, ifindex: int) -> None:
        """Remove the clsact qdisc; none, or no device, is fine."""
        gone = (errno.ENOENT, errno.EINVAL, errno.ENODEV)
        with self._doing("remove clsact", *gone):
            self._channel.change(_DELQDISC, _clsact_body(ifindex))

    def filters(self, ifindex: int, parent: int) -> list[FilterRecord]:
        """Read the filters of one clsact hook; there are none on a device that is gone."""

        def parse(reading: Reading) -> list[FilterRecord]:
            filters = (decoded("tcmsg", message) for message in reading.messages)
            # A dump starts each prio with a header record that has no handle.
            return [_filter_record(parent, one) for one in filters if one["handle"]]

        body = encoded("tcmsg", index=ifindex, parent=parent)
        return self._listed("filters", _GETFILTER, body, parse, errno.ENODEV, errno.EINVAL)

    def put_filter(self, ifindex: int, record: FilterRecord, fd: int) -> None:
        """Put a direct-action bpf filter at its prio and handle, in place of what is there."""
        options = [
            ["TCA_BPF_FD", fd], ["TCA_BPF_NAME", record.name],
            ["TCA_BPF_FLAGS", _TCA_BPF_FLAG_ACT_DIRECT],
        ]  # fmt: skip
        with self._doing(f"put filter {record.name}"):
            body = _filter_body(ifindex, record, ("TCA_OPTIONS", {"attrs": options}))
            self._channel.change(_NEWFILTER, body, CREATE | REPLACE)

    def del_filter(self, ifindex: int, record: FilterRecord) -> None:
        """Remove one filter by prio and handle; none, or no device, is fine."""
        gone = (errno.ENOENT, errno.EINVAL, errno.ENODEV)
        with self._doing(f"remove filter {record.name}", *gone):
            self._channel.change(_DELFILTER, _filter_body(ifindex, record))


def _clsact_body(ifindex: int) -> bytes:
    return encoded(
        "tcmsg", [("TCA_KIND", "clsact")], index=ifindex, handle=_CLSACT_HANDLE,
        parent=CLSACT_PARENT,
    )  # fmt: skip


def _filter_body(ifindex: int, record: FilterRecord, *more: tuple[str, Any]) -> bytes:
    chain = [("TCA_CHAIN", record.chain)] if record.chain else []
    return encoded(
        "tcmsg", [("TCA_KIND", "bpf"), *chain, *more], index=ifindex, handle=record.handle,
        parent=record.parent, info=record.prio << 16 | socket.htons(ETH_P_ALL),
    )  # fmt: skip


def _filter_record(parent: int, record: Any) -> FilterRecord:
    what = record.get_attr("TCA_KIND") or ""
    options = record.get_attr("TCA_OPTIONS")
    is_bpf = what == "bpf" and options is not None
    attrs = dict(options["attrs"]) if is_bpf else {}
    return FilterRecord(
        parent, record["info"] >> 16, record["handle"], what,
        attrs.get("TCA_BPF_NAME", ""), attrs.get("TCA_BPF_ID", 0),
        socket.ntohs(record["info"] & 0xFFFF),
        bool(attrs.get("TCA_BPF_FLAGS", 0) & _TCA_BPF_FLAG_ACT_DIRECT),
        record.get_attr("TCA_CHAIN") or 0,
    )  # fmt: skip
