"""The manual pages, written from the argument parsers.

``python -m netplan_tproxy.cli.manpage tproxy-relay`` prints one.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator

from netplan_tproxy import __version__
from netplan_tproxy.cli.manpage_texts import TEXTS, Text
from netplan_tproxy.output.completion import Argument, arguments

_WIDTH = 78


def page(parser: argparse.ArgumentParser) -> str:
    """Return the page in the man(7) language. Pure."""
    options = list(arguments(parser))
    name, text = parser.prog, TEXTS[parser.prog]
    lines = [
        f'.TH {name.upper()} 8 "{text.date}" "netplan\\-tproxy {__version__}"',
        ".SH NAME",
        f"{_safe(name)} \\- {_safe(_brief(parser))}",
        ".SH SYNOPSIS",
        f".B {_safe(name)}",
        "[\\fIoption\\fR ...]",
        *(f"[\\fI{_safe(one.metavar)}\\fR]" for one in options if not one.names),
        ".SH DESCRIPTION",
        *text.description.splitlines(),
        ".SH OPTIONS",
        *(line for one in options for line in _item(one)),
        ".SH EXIT STATUS",
        *(line for code, words in text.exits for line in (".TP", f".B {code}", _safe(words))),
        *(".SH FILES" for _ in text.files[:1]),
        *(
            line
            for path, words in text.files
            for line in (".TP", f".I {_safe(path)}", _safe(words))
        ),
        ".SH EXAMPLES",
        *_examples(text),
        ".SH SEE ALSO",
        *_see(text),
    ]
    return "\n".join(part for line in lines for part in _broken(line)) + "\n"


def _broken(line: str) -> list[str]:
    """Wrap a line of text; a roff request stays one line."""
    if line.startswith((".", "\\fB", "\\fI")):
        return [line]
    return textwrap.wrap(line, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _brief(parser: argparse.ArgumentParser) -> str:
    text = (parser.description or "").strip().rstrip(".")
    return text[:1].lower() + text[1:]


def _item(one: Argument) -> Iterator[str]:
    value = f" \\fI{_safe(one.metavar)}\\fR" if one.value else ""
    if one.choices:
        value = " \\fR{" + "|".join(map(_safe, one.choices)) + "}\\fR"
    if one.optional and one.names:
        value = f" \\fR[{value.strip()}\\fR]"
    heads = [f"\\fB{_safe(name)}\\fR{value}" for name in one.names]
    yield ".TP"
    yield ", ".join(heads) or f"\\fI{_safe(one.metavar)}\\fR"
    yield _safe(_sentence(one.help))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _examples(text: Text) -> Iterator[str]:
    for at, (words, commands) in enumerate(text.examples):
        if at:
            yield ".PP"
        yield _safe(words)
        yield from (".PP", ".nf", ".RS")
        yield from map(_safe, commands)
        yield from (".RE", ".fi")


def _see(text: Text) -> Iterator[str]:
    pages = text.see.split(", ")
    for at, one in enumerate(pages):
        name, _, section = one.rstrip(")").partition("(")
        comma = "," if at < len(pages) - 1 else ""
        yield f".BR {_safe(name)} ({section}){comma}"


def _safe(text: str) -> str:
    """Escape what roff would interpret, and what is not ASCII."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    return "\\&" + text if text[:1] in {".", "'"} else text


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the programs that have a page, by name."""
    from netplan_tproxy.cli.arguments import parser  # noqa: PLC0415 - it needs no page
    from netplan_tproxy.relay.cli import parser as relay_parser  # noqa: PLC0415

    return {each.prog: each for each in (parser(), relay_parser())}


if __name__ == "__main__":
    sys.stdout.write(page(parsers()[sys.argv[1]]))
