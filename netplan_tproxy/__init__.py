"""Make a Linux host a transparent proxy, declaratively."""

import sys

__version__ = "0.1.0"

# Before anything else is imported, and in words that an older Python reads too.
if sys.version_info < (3, 11):  # noqa: UP036 - a checkout is run by whatever python3 there is
    sys.exit(
        "netplan-tproxy: Python 3.11 or newer is needed, this is {}.{} ({})".format(
            *sys.version_info[:2], sys.executable
        )
    )
