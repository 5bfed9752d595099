"""YAML syntax errors in the words of this tool."""

from __future__ import annotations

from netplan_tproxy.site.yaml.problem import Path, Position, Problem
from netplan_tproxy.system.text import clipped, printable

YAML: Path = ("yaml",)

_WORDS = (
    ("found ':'", "a value that starts with ':', expected in quotes such as '::1'"),
    ("got ':'", "a ':' that ends no key, expected the whole value in quotes such as '::1'"),
    ("mapping values are not allowed", "a second ':' in one line, expected the value in quotes"),
    ("could not find expected ':'", "a key without ':', expected 'key: value'"),
    ("that cannot start any token", "a character that cannot start a value, expected it in quotes"),
    ("expected <block end>", "an entry that does not line up, expected the same indentation"),
    ("expected ',' or '}'", "a map opened at {} is not closed, expected ',' or '}}' here"),
    ("expected ',' or ']'", "a list opened at {} is not closed, expected ',' or ']' here"),
    ("found unexpected end of stream", "a quote opened at {} is not closed, expected one here"),
    ("expected the node content", "a value is missing, expected one here"),
)


def syntax_problem(
    problem: str | None, at: Position, char: str, opened: Position | None
) -> Problem:
    """Return the problem for what PyYAML refuses at ``at``; ``problem`` are its own words.

    ``char`` is the character there, empty at the end of the file; ``opened`` is where the map,
    list or quote begins in which it stands.
    """
    if char == "\t":
        text = "a tab where indentation or a value is expected, expected spaces"
        return Problem(at, YAML, text)
    reason = problem or "not valid YAML"
    if char == ":" and "<block end>" in reason:
        reason = "got ':'"  # PyYAML names only what begins with it
    words = next((words for sign, words in _WORDS if sign in reason), None)
    if words is None:
        reason = clipped(printable(reason))
        right = "expected 'key: value' lines"
        kind = f"not valid YAML, {right}"
        return Problem(at, YAML, f"not valid YAML ({reason}), {right}", kind=kind)
    return Problem(at, YAML, words.format(opened or at))
