"""The findings of ``--doctor`` as values. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OK, WARN, FAIL, UNSEEN = "ok", "warn", "fail", "unseen"
LEVELS = (OK, WARN, FAIL, UNSEEN)


@dataclass(frozen=True)
class Finding:
    """One line; ``code`` never changes, ``advice`` says what to do unless the level is ok.

    Levels: ok; warn: it works, but something may break it; fail: it does not work or will
    not; unseen: it could not be examined.
    """

    code: str
    level: str
    text: str
    advice: str = ""

    @property
    def group(self) -> str:
        """The group: the part of the code before the dot."""
        return self.code.partition(".")[0]


def ok(code: str, text: str) -> Finding:
    """Return a finding of level ok."""
    return Finding(code, OK, text)


def warn(code: str, text: str, advice: str) -> Finding:
    """Return a finding of level warn."""
    return Finding(code, WARN, text, advice)


def fail(code: str, text: str, advice: str) -> Finding:
    """Return a finding of level fail."""
    return Finding(code, FAIL, text, advice)


def unseen(code: str, text: str, advice: str = "") -> Finding:
    """Return a finding of level unseen."""
    return Finding(code, UNSEEN, text, advice)


@dataclass(frozen=True)
class Report:
    """All findings; ``site`` is the site file that the host was compared with, or ""."""

    site: str
    findings: tuple[Finding, ...]

    def count(self, level: str) -> int:
        """Return the number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def code(self) -> int:
        """The exit code: 1 if anything fails."""
        return 1 if self.count(FAIL) else 0

    def as_json(self) -> dict[str, Any]:
        """Return the body of the JSON document."""
        return {
            "site": self.site or None,
            "findings": [asdict(finding) for finding in self.findings],
            "counts": {level: self.count(level) for level in LEVELS},
        }
