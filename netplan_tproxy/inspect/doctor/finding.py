"""What an examination finds, as values. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OK, WARN, FAIL, UNSEEN = "ok", "warn", "fail", "unseen"
LEVELS = (OK, WARN, FAIL, UNSEEN)


@dataclass(frozen=True)
class Finding:
    """One line: ``code`` is stable, ``advice`` says what to do unless all is well.

    Levels: ok; warn, it works but a trap is near; fail, it does not or will not work;
    unseen, it could not be looked at.
    """

    code: str
    level: str
    text: str
    advice: str = ""

    @property
    def group(self) -> str:
        """What it is about: the part of the code before the dot."""
        return self.code.partition(".")[0]


def ok(code: str, text: str) -> Finding:
    """As it should be."""
    return Finding(code, OK, text)


def warn(code: str, text: str, advice: str) -> Finding:
    """A trap is near."""
    return Finding(code, WARN, text, advice)


def fail(code: str, text: str, advice: str) -> Finding:
    """It does not work, or will not."""
    return Finding(code, FAIL, text, advice)


def unseen(code: str, text: str, advice: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(code, UNSEEN, text, advice)


@dataclass(frozen=True)
class Report:
    """A whole examination; ``site`` is the file it was held against, "" without one."""

    site: str
    findings: tuple[Finding, ...]

    def count(self, level: str) -> int:
        """How many findings are of a level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def code(self) -> int:
        """The exit code: 1 when anything fails."""
        return 1 if self.count(FAIL) else 0

    def as_json(self) -> dict[str, Any]:
        """Give the body of the JSON document."""
        return {
            "site": self.site or None,
            "findings": [asdict(finding) for finding in self.findings],
            "counts": {level: self.count(level) for level in LEVELS},
        }
