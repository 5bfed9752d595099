"""What can go wrong, as one exception per exit code.

Every message is one lower-case line: object, action, cause, what happened to the rest.
``cli`` prints it and exits with ``exit_code``; nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TproxyError(Exception):
    """Refused or failed before anything was touched.

    ``code`` is what scripts go by: it stays when the words change (docs/errors.md).
    """

    exit_code = 1
    code = "refused"


class DamagedError(TproxyError):
    """A state file can't be read: torn, changed by somebody, or of another version."""

    code = "state-damaged"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file. Line and column count from 1; 0 stands for none."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column``, without what is 0."""
        numbers = [str(number) for number in (self.line, self.column) if number]
        return ":".join([self.file, *numbers])


@dataclass(frozen=True, slots=True)
class SiteProblem:
    """One thing wrong in a site file.

    ``path`` is the key it concerns, such as ``rules[0].table``; empty, it is the file as a whole,
    and ``place`` has no line. ``inside`` is the place in the file that the key names, where what
    is wrong is in there. All text is fit for a terminal.
    """

    place: Place
    path: str
    message: str
    inside: Place | None = None

    def __str__(self) -> str:
        """Return the finished line."""
        if self.inside:
            return f"{self.inside}: {self.message}"
        return ": ".join(part for part in (str(self.place), self.path, self.message) if part)


MOST_SHOWN = 20  # of the problems of a site file


class SiteError(TproxyError):
    """The site file is wrong, or asks for what this host does not have.

    ``problems`` are all of them, ``shown`` the first ``MOST_SHOWN``, with how many more there are.
    The message has a line for each that is shown.
    """

    exit_code = 65
    code = "site"

    def __init__(self, problems: Sequence[SiteProblem]) -> None:
        self.problems = tuple(problems)
        self.shown = self.problems[:MOST_SHOWN]
        more = len(self.problems) - MOST_SHOWN
        if more > 0:
            file = Place(self.problems[0].place.file)
            self.shown += (
                SiteProblem(file, "", f"and {more} more problem{'s' if more > 1 else ''}"),
            )
        super().__init__("\n".join(map(str, self.shown)))


class UsageError(TproxyError):
    """The command line is wrong."""

    exit_code = 64
    code = "usage"


class LockedError(TproxyError):
    """Another run holds the lock of this network namespace."""

    exit_code = 5
    code = "locked"


class ConflictError(TproxyError):
    """Foreign objects sit where ours should go; ``problems`` names each."""

    exit_code = 6
    code = "conflict"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RolledBackError(TproxyError):
    """Failed half-way; everything was put back and that was verified."""

    exit_code = 3
    code = "rolled-back"


class NotPutBackError(TproxyError):
    """Failed half-way, and something could not be put back: the message names it."""

    exit_code = 4
    code = "not-put-back"


class NothingPendingError(TproxyError):
    """Nothing waits for confirmation, or not the run that was named."""

    exit_code = 7
    code = "nothing-pending"


class OtherRunError(TproxyError):
    """Another run than the one that was named waits for confirmation."""

    exit_code = 8
    code = "other-run"


class TooLateError(TproxyError):
    """The time to confirm is over: the change is going back."""

    exit_code = 9
    code = "too-late"


class KernelError(TproxyError):
    """The kernel refused one operation; ``errno`` is its answer."""

    code = "kernel"

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class SignalledError(TproxyError):
    """A signal ended the run; ``outcome`` says what has become of the host."""

    exit_code = 128
    code = "interrupted"

    def __init__(self, number: int, outcome: str) -> None:
        super().__init__(f"interrupted; {outcome}")
        self.exit_code += number  # as the shell has it


class UnexpectedError(TproxyError):
    """Something that no other error stands for: this machine is short of something, or a bug."""

    code = "unexpected"

    def __init__(self, failure: Exception, outcome: str, *, before: bool) -> None:
        words = getattr(failure, "strerror", None) or str(failure)
        kind = type(failure).__name__
        cause = words if isinstance(failure, OSError) else f"{kind}: {words}" if words else kind
        if isinstance(failure, MemoryError | SystemError):  # the latter, where a frame gets none
            cause = f"out of memory ({cause})"
        super().__init__(f"{cause.replace(chr(10), ' ')}; {outcome} (-v shows where it failed)")
        self.exit_code = 1 if before else 4
