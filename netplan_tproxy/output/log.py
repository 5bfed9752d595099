"""The log of ``-v``: every change and the kernel's answer, on standard error."""

from __future__ import annotations

import logging
import os
import sys

# sd-daemon(3): prefixes from which the journal takes the priority of a line.
_PRIORITIES = {logging.DEBUG: "<7>", logging.INFO: "<6>", logging.WARNING: "<4>"}


class _Formatter(logging.Formatter):
    def __init__(self, *, journal: bool) -> None:
        super().__init__("%(message)s" if journal else "%(relativeCreated)6.0f ms  %(message)s")
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return _PRIORITIES.get(record.levelno, "<3>") + line if self._journal else line


def to_stderr() -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(journal=_is_journal()))
    logger = logging.getLogger("netplan_tproxy")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def _is_journal() -> bool:
    """Whether standard error leads to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
