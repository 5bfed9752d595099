"""Qdiscs and filters at a device's ingress and egress over rtnetlink, as plain values."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from netplan_tproxy.kernel.netlink.socket import Rtnetlink

ETH_P_ALL = 0x0003
CLSACT_INGRESS = 0xFFFFFFF2
CLSACT_EGRESS = 0xFFFFFFF3
CLSACT_PARENT = 0xFFFFFFF1
_TCA_BPF_FLAG_ACT_DIRECT = 1


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


class TrafficControl(Rtnetlink):
    """What tc(8) shows and changes."""

    def ingress_qdiscs(self) -> dict[int, str]:
        """Name the qdiscs at the ingress hooks ("clsact", "ingress"), by ifindex."""
        with self._doing("read qdiscs"):
            return {
                qdisc["index"]: str(qdisc.get_attr("TCA_KIND"))
                for qdisc in self._dump(self._ip.get_qdiscs)
                if qdisc["parent"] == CLSACT_PARENT
            }

    def add_clsact(self, ifindex: int) -> None:
        """Add a clsact qdisc (tc-bpf(8)); one that is there already is fine."""
        with self._doing("add clsact", errno.EEXIST):
            self._ip.tc("add", "clsact", ifindex)

    def del_clsact(self, ifindex: int) -> None:
        """Remove the clsact qdisc; none, or no device, is fine."""
        gone = (errno.ENOENT, errno.EINVAL, errno.ENODEV)
        with self._doing("remove clsact", *gone):
            self._ip.tc("del", "clsact", ifindex)

    def filters(self, ifindex: int, parent: int) -> list[FilterRecord]:
        """Read the filters of one clsact hook."""
        found = []
        with self._doing("read filters", errno.ENODEV, errno.EINVAL):
            for record in self._dump(lambda: self._ip.get_filters(index=ifindex, parent=parent)):
                handle = record["handle"]
                what = record.get_attr("TCA_KIND") or ""
                # A dump starts each prio with a header record that has no handle.
                if not handle:
                    continue
                options = record.get_attr("TCA_OPTIONS")
                is_bpf = what == "bpf" and options is not None
                attrs = dict(options["attrs"]) if is_bpf else {}
                found.append(
                    FilterRecord(
                        parent, record["info"] >> 16, handle, what,
                        attrs.get("TCA_BPF_NAME", ""), attrs.get("TCA_BPF_ID", 0),
                        socket.ntohs(record["info"] & 0xFFFF),
                        bool(attrs.get("TCA_BPF_FLAGS", 0) & _TCA_BPF_FLAG_ACT_DIRECT),
                    )
                )  # fmt: skip
        return found

    def put_filter(self, ifindex: int, record: FilterRecord, fd: int) -> None:
        """Put a direct-action bpf filter at its prio and handle, in place of what is there."""
        with self._doing(f"put filter {record.name}"):
            self._ip.tc(
                "replace-filter", "bpf", ifindex, record.handle, parent=record.parent,
                prio=record.prio, protocol=ETH_P_ALL, fd=fd, name=record.name, direct_action=True,
            )  # fmt: skip

    def del_filter(self, ifindex: int, record: FilterRecord) -> None:
        """Remove one filter by prio and handle; none, or no device, is fine."""
        gone = (errno.ENOENT, errno.EINVAL, errno.ENODEV)
        with self._doing(f"remove filter {record.name}", *gone):
            self._ip.tc(
                "del-filter", "bpf", ifindex, record.handle, parent=record.parent,
                prio=record.prio, protocol=ETH_P_ALL,
            )  # fmt: skip
