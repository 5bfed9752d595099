"""Firewall marks: ``value/mask``, and whether two of them can be told apart."""

from __future__ import annotations

from netplan_tproxy.site.model import Mark
from netplan_tproxy.site.yaml.nodes import Mapping, Scalar
from netplan_tproxy.site.yaml.problem import Problem

FULL_MASK = 0xFFFFFFFF
DEFAULTS = {"intercept": Mark(0x1, 0x1), "bypass": Mark(0x2, 0x2)}


def parse_mark(text: str) -> Mark:
    """Return the mark that ``text`` (``V/M`` or ``V``, decimal or 0x) stands for.

    ``V`` alone is ``V/0xffffffff``, as in ip-rule(8) and iptables. Raises ValueError with the
    end of a message.
    """
    first, slash, second = text.partition("/")
    value, mask = int(first, 0), int(second, 0) if slash else FULL_MASK
    if max(value, mask) > FULL_MASK:
        message = f"'{text}' does not fit 32 bits, expected at most 0xffffffff/0xffffffff"
        raise ValueError(message)
    if mask == 0:
        message = f"mask of '{text}' is 0 and tells nothing apart, expected something like 0x1/0x1"
        raise ValueError(message)
    if value == 0:
        message = f"value of '{text}' is 0, as in unmarked packets, expected something like 0x1/0x1"
        raise ValueError(message)
    if value & ~mask:
        message = (
            f"value of '{text}' has bits outside its mask, expected {value:#x}/{value | mask:#x}"
        )
        raise ValueError(message)
    return Mark(value, mask)


def overlap(one: Mark, other: Mark) -> bool:
    """Return whether setting one of the marks can make the other match.

    They are apart if they share no bit, or differ in a bit that both masks hold.
    """
    shared = one.mask & other.mask
    return bool(shared) and not (one.value ^ other.value) & shared


def read_marks(section: Mapping, *, complete: bool) -> tuple[dict[str, Mark], list[Problem]]:
    """Return the marks by name, defaults included, and what is wrong with them.

    Unless the section is ``complete``, a mark may be missing that the file does give, so the
    two are not compared.
    """
    marks = dict(DEFAULTS)
    problems: list[Problem] = []
    for entry in section.entries:
        if not isinstance(entry.value, Scalar):
            continue
        try:
            marks[entry.key] = parse_mark(str(entry.value.value))
        except ValueError as error:
            problems.append(Problem(entry.at, ("marks", entry.key), str(error)))
    if complete and not problems:
        problems += _overlap_problem(section, marks)
    return marks, problems


def _overlap_problem(section: Mapping, marks: dict[str, Mark]) -> list[Problem]:
    if not overlap(marks["intercept"], marks["bypass"]):
        return []
    entry = section.entries[-1]
    other = "intercept" if entry.key == "bypass" else "bypass"
    text = (
        f"{marks[entry.key]} overlaps {other} {marks[other]}, expected {apart_from(marks[other])}"
    )
    return [Problem(entry.at, ("marks", entry.key), text)]


def apart_from(other: Mark) -> str:
    """Return the words for a mark that does not overlap ``other``, with an example."""
    for bit in range(32):
        if not other.mask >> bit & 1:
            return f"a bit of its own such as {Mark(1 << bit, 1 << bit)}"
    return f"another value such as {Mark(2 if other.value == 1 else 1, FULL_MASK)}"
