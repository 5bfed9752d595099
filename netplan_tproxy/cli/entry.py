"""The program ``tproxy-apply``: its signals are in our hands from the first moment to the last."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # While modules are imported nothing has been touched: end at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run() -> NoReturn:
    """Run the command line of this process, and end it."""
    from netplan_tproxy.cli.main import main  # noqa: PLC0415 - under the signals set above
    from netplan_tproxy.system.signals import Interrupts  # noqa: PLC0415

    sys.exit(main(interrupts=Interrupts(to_the_end=True)))
