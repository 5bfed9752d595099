"""The program ``tproxy-apply``, with signals handled from its start to its end."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Nothing is touched while modules are imported: a signal may end that at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run() -> NoReturn:
    """Run the command line of this process, and exit with its code."""
    try:
        from netplan_tproxy.cli.main import main  # noqa: PLC0415 - under the signals set above
        from netplan_tproxy.system.signals import Interrupts  # noqa: PLC0415
    except (ImportError, OSError, MemoryError, SystemError) as failure:
        # An interpreter that gets no memory for a frame says SystemError, and not always why.
        cause = "out of memory" if isinstance(failure, MemoryError | SystemError) else failure
        sys.exit(f"tproxy-apply: {cause}; everything is as it was before")
    sys.exit(main(interrupts=Interrupts(to_the_end=True)))
