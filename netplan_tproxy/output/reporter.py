"""What commands report to: it prints lines for people, or one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from netplan_tproxy.errors import SiteError, TproxyError
from netplan_tproxy.output import plan as plan_text
from netplan_tproxy.output.style import PLAIN, Style
from netplan_tproxy.output.text import wrapped
from netplan_tproxy.system.text import printable

Report = Mapping[str, Any]
Printer = Callable[[Style], Sequence[str]]
Say = Callable[[str], None]


class Reporter(Protocol):
    """What a command may report."""

    in_place: bool
    """Whether ``--watch`` redraws the screen: standard output is a terminal."""
    style: Style
    """For what is drawn there."""
    between: tuple[str, ...]
    """The lines between two reports, where they come one after the other."""

    def say(self, line: str) -> None:
        """Report one line of text."""

    def means(self, means: Sequence[Report]) -> None:
        """Show what a plan means for traffic (``inspect.meaning.difference``)."""

    def plan(self, report: Report) -> None:
        """Show a plan (``reconcile.report.plan_report``)."""

    def site_diff(self, report: Report) -> None:
        """Show how the file differs from the one applied last (``site_record.diff_report``)."""

    def pending(self, report: Report) -> None:
        """Show what waits for confirmation (``reconcile.report.pending_report``)."""

    def done(self, what: str, seconds: float) -> None:
        """Say that a plan was carried out, and how long the run took."""

    def rendered(self, report: Report, lines: Printer, code: int = 0) -> Sequence[str]:
        """Return the report as text: ``lines`` of it, or its JSON document."""

    def show(self, lines: Sequence[str]) -> None:
        """Show what ``rendered`` gave."""

    def finish(self, code: int) -> None:
        """End the output; ``code`` is the exit code."""

    def fail(self, error: TproxyError) -> None:
        """Report an error."""


class LineReporter:
    """Lines for people: ``say`` prints to standard output, ``complain`` to standard error.

    ``style`` and ``errors`` are those of the two.
    """

    between: tuple[str, ...] = ("",)

    def __init__(  # noqa: PLR0913 - two streams, and what is known of each
        self,
        say: Say,
        complain: Say,
        style: Style = PLAIN,
        errors: Style = PLAIN,
        *,
        in_place: bool = False,
        verbose: bool = False,
    ) -> None:
        self._print = say
        self.in_place = in_place
        self._complain = complain
        self.style = style
        self._errors = errors
        self._verbose = verbose
        self._meant = False

    def say(self, line: str) -> None:
        """Print it, without control characters."""
        self.show(wrapped(printable(line), self.style.width))

    def means(self, means: Sequence[Report]) -> None:
        """Show what a plan means."""
        self._meant = bool(means)
        self.show(plan_text.meaning_lines(means, self.style))

    def plan(self, report: Report) -> None:
        """Show a plan."""
        lines = plan_text.spaced_lines if self._meant else plan_text.lines
        self.show(lines(report, self.style, whole=self._verbose))

    def site_diff(self, report: Report) -> None:
        """Show a difference of files."""
        self.show(plan_text.diff_lines(report, self.style))

    def pending(self, report: Report) -> None:
        """Say until when, and how it is kept."""
        seconds, deadline, run = report["seconds"], report["deadline"], report["run"]
        self.say(f"goes back in {seconds:.0f} s, at {deadline}, unless you confirm it:")
        self.say(f"tproxy-apply --commit {run}")

    def done(self, what: str, seconds: float) -> None:
        """Say it in a line."""
        self.show([self.style.ok(f"{what} in {seconds:.1f} s")])

    def rendered(self, report: Report, lines: Printer, code: int = 0) -> Sequence[str]:
        """Return the lines, none wider than the terminal where it has blanks."""
        del report, code
        style = self.style
        return [piece for line in lines(style) for piece in wrapped(line, style.width)]

    def show(self, lines: Sequence[str]) -> None:
        """Print the lines; whoever rendered them made them printable."""
        for line in lines:
            self._print(line)

    def finish(self, code: int) -> None:
        """Print nothing more."""

    def fail(self, error: TproxyError) -> None:
        """Print the message; a line about a site file begins with its place instead."""
        prefix = "" if isinstance(error, SiteError) else "tproxy-apply: "
        for line in str(error).splitlines():
            for piece in wrapped(f"{prefix}{printable(line)}", self._errors.width):
                self._complain(piece)
