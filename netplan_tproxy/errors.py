"""What can go wrong, as one exception per exit code.

Every message is one lower-case line: object, action, cause, what happened to the rest.
``cli`` prints it and exits with ``exit_code``; nothing else does.
"""

from __future__ import annotations


class TproxyError(Exception):
    """Refused or failed before anything was touched.

    ``code`` is what scripts go by: it stays when the words change (docs/errors.md).
    """

    exit_code = 1
    code = "refused"


class DamagedError(TproxyError):
    """A state file can't be read: torn, changed by somebody, or of another version."""

    code = "state-damaged"


class SiteError(TproxyError):
    """The site file is wrong; ``problems`` holds one finished line each."""

    exit_code = 65
    code = "site"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


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


class KernelError(TproxyError):
    """The kernel refused one operation; ``errno`` is its answer."""

    code = "kernel"

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class SignalledError(TproxyError):
    """A signal ended the run; ``outcome`` says what has become of the host."""

    code = "interrupted"

    def __init__(self, number: int, outcome: str) -> None:
        super().__init__(f"interrupted; {outcome}")
        self.exit_code = 128 + number  # as the shell has it


class UnexpectedError(TproxyError):
    """Something that no other error stands for: this machine is short of something, or a bug."""

    code = "unexpected"

    def __init__(self, failure: Exception, outcome: str, *, before: bool) -> None:
        words = getattr(failure, "strerror", None) or str(failure)
        kind = type(failure).__name__
        cause = words if isinstance(failure, OSError) else f"{kind}: {words}" if words else kind
        super().__init__(f"{cause.replace(chr(10), ' ')}; {outcome} (-v shows where it failed)")
        self.exit_code = 1 if before else 4
