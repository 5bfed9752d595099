"""A command's output as one JSON document (schemas/output.schema.json)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.output.document import envelope, errors_of
from netplan_tproxy.output.reporter import Printer, Report
from netplan_tproxy.output.style import PLAIN

Say = Callable[[str], None]


class JsonReporter:
    """Keeps what is reported until ``finish`` or ``fail``.

    ``plans``: as in ``commands.table``; ``in_lines``: each document is one line (JSON Lines).
    """

    in_place = False
    style = PLAIN
    between: tuple[str, ...] = ()

    def __init__(self, print_line: Say, mode: str, *, plans: bool, in_lines: bool = False) -> None:
        self._print = print_line
        self._mode = mode
        self._plans = plans
        self._in_lines = in_lines
        self._body: dict[str, Any] = {"messages": []}

    def say(self, line: str) -> None:
        """Keep a message."""
        self._body["messages"].append(line)

    def means(self, means: Sequence[Report]) -> None:
        """Keep what the plan means."""
        self._body["means"] = means

    def plan(self, report: Report) -> None:
        """Keep the plan."""
        self._body["plan"] = report

    def site_diff(self, report: Report) -> None:
        """Keep the difference."""
        self._body["diff"] = report

    def pending(self, report: Report) -> None:
        """Keep what waits for confirmation."""
        self._body["pending"] = report

    def done(self, what: str, seconds: float) -> None:
        """Keep how long it took."""
        del what
        self._body["seconds"] = round(seconds, 3)

    def rendered(self, report: Report, lines: Printer, code: int = 0) -> Sequence[str]:
        """Return the report's own document."""
        del lines
        return [envelope(self._mode, code, report, in_lines=self._in_lines)]

    def show(self, lines: Sequence[str]) -> None:
        """Print such a document."""
        for line in lines:
            self._print(line)

    def finish(self, code: int) -> None:
        """Print the document of a run that plans."""
        if self._plans:
            self._print_body(code, [])

    def fail(self, error: TproxyError) -> None:
        """Print a document with the errors."""
        self._print_body(error.exit_code, errors_of(error))

    def _print_body(self, code: int, errors: list[dict[str, Any]]) -> None:
        body = self._body if self._plans else {}
        whole = {**body, "errors": errors}
        self._print(envelope(self._mode, code, whole, in_lines=self._in_lines))
