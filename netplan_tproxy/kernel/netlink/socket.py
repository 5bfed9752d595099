"""The rtnetlink socket itself: pyroute2's, its refusals as our errors."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from netplan_tproxy.errors import KernelError
from netplan_tproxy.kernel.netlink.pyroute import part

_MOST_TRIES = 20
_log = logging.getLogger(__name__)


class Rtnetlink:
    """An rtnetlink socket of the network namespace it is made in."""

    def __init__(self) -> None:
        exceptions = part("netlink.exceptions")
        sched_bpf = part("netlink.rtnl.tcmsg").sched_bpf

        # include/uapi/linux/pkt_cls.h goes on where pyroute2's table ends.
        if len(sched_bpf.options.nla_map) == 9:  # noqa: PLR2004
            sched_bpf.options.nla_map += (
                ("TCA_BPF_FLAGS_GEN", "uint32"),
                ("TCA_BPF_TAG", "hex"),
                ("TCA_BPF_ID", "uint32"),
            )
        self._refused: type[Exception] = exceptions.NetlinkError
        self._changed_meanwhile: type[Exception] = exceptions.NetlinkDumpInterrupted
        # Strict checking lets the kernel filter a dump by table instead of us.
        self._ip: Any = part("iproute.linux").IPRoute(ext_ack=True, strict_check=True)

    def close(self) -> None:
        """Close the socket."""
        self._ip.close()

    @contextmanager
    def _doing(self, what: str, *fine: int) -> Iterator[None]:
        change = not what.startswith("read ")
        try:
            yield
            if change:
                _log.debug("  netlink: %s: done", what)
        except self._refused as refusal:
            code = getattr(refusal, "code", 0)
            if change:
                _log.debug("  netlink: %s: %s", what, errno.errorcode.get(code, str(code)))
            if code not in fine:
                text = str(refusal.args[1]) if len(refusal.args) > 1 else os.strerror(code)
                name = errno.errorcode.get(code, str(code))
                raise KernelError(f"{what}: {text} ({name})", code) from refusal
        except OSError as refusal:
            raise KernelError(f"{what}: {refusal.strerror}", refusal.errno or 0) from refusal

    def _dump(self, request: Callable[[], Iterable[Any]]) -> list[Any]:
        """Read a list, again if it changed while it was read (NLM_F_DUMP_INTR, netlink(7))."""
        for _ in range(_MOST_TRIES):
            try:
                return list(request())
            except self._changed_meanwhile:
                continue
        return list(request())
