"""Whether this kernel has what the tool needs, found out by trying it."""

from __future__ import annotations

import errno
import os
from functools import cache

from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.netlink import handle as rtnetlink

_CLONE_NEWNET = 0x40000000
_LOOPBACK = 1
_UNKNOWN = frozenset({errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP})


@cache
def require_clsact() -> None:
    """Try a clsact qdisc in a network namespace that lasts for this one call.

    Raises TproxyError where the kernel has none. Where a new namespace can't be made
    nothing is known, and nothing is raised: the real attempt will tell.
    """
    child = os.fork()
    if child == 0:
        os._exit(_try_clsact())
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 1:
        said = features.lacking("intercepting", [features.named("clsact")])
        message = f"{said}; CONFIG_NET_CLS_ACT makes it; nothing was touched"
        raise TproxyError(message)


def _try_clsact() -> int:
    from ctypes import CDLL  # noqa: PLC0415 - needed in the child alone

    if CDLL(None).unshare(_CLONE_NEWNET) != 0:
        return 0
    try:
        rtnetlink.Netlink().add_clsact(_LOOPBACK)
    except KernelError as refusal:
        return int(refusal.errno in _UNKNOWN)
    except BaseException:  # noqa: BLE001 - a forked child must never run its parent's handlers
        return 0
    return 0
