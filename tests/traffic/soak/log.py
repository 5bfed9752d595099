"""What happened when: the proxy's absences, the applies, and the errors of the clients. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """Something that took from ``began`` to ``ended``, in seconds of one clock."""

    what: str
    began: float
    ended: float

    def overlaps(self, other: Span) -> bool:
        return self.began <= other.ended and other.began <= self.ended


class Error(NamedTuple):
    """An operation of a client that failed."""

    client: str
    operation: str
    span: Span


@dataclass
class Log:
    """``absences``: nobody listened, for all that a client can tell."""

    absences: list[Span] = field(default_factory=list)
    applies: list[Span] = field(default_factory=list)
    errors: list[Error] = field(default_factory=list)

    def unexplained(self) -> list[Error]:
        """Give the errors of operations during all of which the proxy was there."""
        return [one for one in self.errors if not any(one.span.overlaps(a) for a in self.absences)]

    def lines(self, errors: Iterable[Error]) -> Iterator[str]:
        """Say of each what came before it, while it went on, and after it."""
        for error in errors:
            took = error.span.ended - error.span.began
            yield f"{error.client} {error.operation}: {error.span.what} (after {took:.2f} s)"
            for kind, spans in (("proxy", self.absences), ("apply", self.applies)):
                yield from (f"  {kind} {line}" for line in _around(error.span, spans))


def _around(error: Span, spans: Iterable[Span]) -> Iterator[str]:
    """Name the last one before it began, those during it, and the next one."""
    known = sorted(spans, key=lambda span: span.began)
    before = [span for span in known if span.ended < error.began]
    during = [span for span in known if span.overlaps(error)]
    after = [span for span in known if span.began > error.ended]
    for span in before[-1:]:
        yield f"{span.what}: over {error.began - span.ended:.3f} s before it began"
    for span in during:
        into = span.began - error.began
        yield f"{span.what}: began {into:+.3f} s into it, took {span.ended - span.began:.3f} s"
    for span in after[:1]:
        yield f"{span.what}: began {span.began - error.ended:.3f} s after it failed"
