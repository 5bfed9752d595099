"""The parts of pyroute2 that are needed, without the rest: its messages, not its sockets.

Its sockets keep an error for ever (each later use raises it anew), never notice a dump that
was interrupted, and run an event loop that a signal breaks.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from netplan_tproxy.kernel.netlink.answer import HEADER


def part(name: str) -> Any:
    """Import ``pyroute2.NAME`` without the package's ``__init__``.

    That one imports every part there is (NDB, conntrack, WiFi, …), which takes longer than
    a whole run. The package stays an empty one in this process.
    """
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        if spec is None:
            raise ModuleNotFoundError(name="pyroute2")
        sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"pyroute2.{name}")


@cache
def message_type(name: str) -> Any:
    """Give a class of rtnetlink messages: ifinfmsg, rtmsg, fibmsg, tcmsg."""
    module = part(f"netlink.rtnl.{name}")
    if name == "tcmsg":
        # include/uapi/linux/rtnetlink.h and pkt_cls.h go on where pyroute2's tables end. A
        # table is compiled when it is first used: later it is too late.
        if len(module.tcmsg.nla_map) == 9:  # noqa: PLR2004
            module.tcmsg.nla_map += (
                ("TCA_PAD", "hex"),
                ("TCA_DUMP_INVISIBLE", "flag"),
                ("TCA_CHAIN", "uint32"),
            )
        options = module.sched_bpf.options
        if len(options.nla_map) == 9:  # noqa: PLR2004
            options.nla_map += (
                ("TCA_BPF_FLAGS_GEN", "uint32"),
                ("TCA_BPF_TAG", "hex"),
                ("TCA_BPF_ID", "uint32"),
            )
    return getattr(module, name)


def encoded(name: str, attributes: Sequence[tuple[str, Any]] = (), **fields: int) -> bytes:
    """Give the body of a message, without its header."""
    message = message_type(name)()
    for field, value in fields.items():
        message[field] = value
    message["attrs"] = [list(attribute) for attribute in attributes]
    message.encode()
    return bytes(message.data)[HEADER.size :]


def decoded(name: str, data: bytes) -> Any:
    """Read one message with its header. Raises ValueError for one that makes no sense."""
    message = message_type(name)(data)
    try:
        message.decode()
    except part("netlink.exceptions").NetlinkDecodeError as nonsense:
        raise ValueError(str(nonsense)) from nonsense
    return message
