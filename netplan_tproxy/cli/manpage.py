"""The manual page, written from the argument parser: ``python -m netplan_tproxy.cli.manpage``."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator

from netplan_tproxy import __version__
from netplan_tproxy.output.completion import Argument, arguments

_WIDTH = 78
_DATE = "2026-11-23"
_DESCRIPTION = """\
.B tproxy\\-apply
makes the network namespace it runs in a transparent proxy: connections that the site file names
are led to a proxy on this host, which sees where they wanted to go.
It loads eBPF programs on the interfaces and sets the rule, route and sysctls that they need.
.PP
A run changes what differs from the site file and nothing else, all or nothing: whatever fails is
put back.
A run with nothing to do says so.
What was there before is on record, and
.B \\-\\-destroy
puts it back, without a site file.
"""
_EXIT = (
    (0, "The kernel is as the file says, or what was asked for was shown."),
    (1, "Refused, or failed before anything was touched. With --doctor: something fails."),
    (2, "Changes are pending (--check)."),
    (3, "Failed half-way; everything was put back."),
    (4, "Failed half-way, and something could not be put back: it says what."),
    (5, "Another run holds the lock."),
    (6, "Something of others is in the way."),
    (7, "Nothing awaits its confirmation, or not that run (--commit, --rollback)."),
    (8, "Another run awaits its confirmation (--commit, --rollback)."),
    (9, "Too late: the change is going back (--commit)."),
    (64, "Wrong command line."),
    (65, "The site file is wrong."),
    (128, "And the number of a signal: it ended the run, which says what has become of the host."),
)
_FILES = (
    ("/etc/netplan-tproxy/site.yaml", "The site file, unless another is named."),
    ("/run/netplan-tproxy/", "What is ours, what was there before, and the run under way."),
    ("/sys/fs/bpf/netplan-tproxy/", "Programs and maps."),
    ("/etc/systemd/system/tproxy-apply.service", "Applies at boot; see --install-service."),
)
_EXAMPLES = (
    ("Look first, then do it:", ("tproxy-apply --dry-run site.yaml", "tproxy-apply site.yaml")),
    ("Take it all away again:", ("tproxy-apply --destroy",)),
    ("Ask why it does not work:", ("tproxy-apply --doctor site.yaml",)),
    (
        "Have it applied at boot:",
        ("tproxy-apply --install-service", "systemctl enable --now tproxy-apply"),
    ),
)
_SEE = "ip-rule(8), tc-bpf(8), systemd.service(5), networkd.conf(5)"


def page(parser: argparse.ArgumentParser) -> str:
    """Return the page in the man(7) language. Pure."""
    options = list(arguments(parser))
    name = parser.prog
    lines = [
        f'.TH {name.upper()} 8 "{_DATE}" "netplan\\-tproxy {__version__}"',
        ".SH NAME",
        f"{_safe(name)} \\- {_safe(_brief(parser))}",
        ".SH SYNOPSIS",
        f".B {_safe(name)}",
        "[\\fIoption\\fR ...]",
        *(f"[\\fI{_safe(one.metavar)}\\fR]" for one in options if not one.names),
        ".SH DESCRIPTION",
        *_DESCRIPTION.splitlines(),
        ".SH OPTIONS",
        *(line for one in options for line in _item(one)),
        ".SH EXIT STATUS",
        *(line for code, text in _EXIT for line in (".TP", f".B {code}", _safe(text))),
        ".SH FILES",
        *(line for path, text in _FILES for line in (".TP", f".I {_safe(path)}", _safe(text))),
        ".SH EXAMPLES",
        *_examples(),
        ".SH SEE ALSO",
        *_see(),
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


def _examples() -> Iterator[str]:
    for at, (text, commands) in enumerate(_EXAMPLES):
        if at:
            yield ".PP"
        yield _safe(text)
        yield from (".PP", ".nf", ".RS")
        yield from map(_safe, commands)
        yield from (".RE", ".fi")


def _see() -> Iterator[str]:
    pages = _SEE.split(", ")
    for at, one in enumerate(pages):
        name, _, section = one.rstrip(")").partition("(")
        comma = "," if at < len(pages) - 1 else ""
        yield f".BR {_safe(name)} ({section}){comma}"


def _safe(text: str) -> str:
    """Escape what roff would interpret, and what is not ASCII."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    return "\\&" + text if text[:1] in {".", "'"} else text


if __name__ == "__main__":
    from netplan_tproxy.cli.arguments import parser as the_parser

    sys.stdout.write(page(the_parser()))
