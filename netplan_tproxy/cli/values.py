"""Parsers for the values of options. Each raises ArgumentTypeError with a message."""

from __future__ import annotations

import argparse

_DAY = 86400.0
_MOST_MARK = 0xFFFFFFFF


def seconds(text: str) -> float:
    """Read a number of seconds, up to a day."""
    return _between(text, 0.0, _DAY)


def wait(text: str) -> float:
    """Read a number of seconds, from one up to a day."""
    return _between(text, 1.0, _DAY)


def interval(text: str) -> float:
    """Read a number of seconds, from a tenth to an hour."""
    return _between(text, 0.1, 3600.0)


def _between(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:  # false for NaN too
        message = f"'{text}' is not a number of seconds from {least:g} to {most:g}"
        raise argparse.ArgumentTypeError(message)
    return value


def target(text: str) -> tuple[str, int]:
    """Read ADDRESS:PORT."""
    from netplan_tproxy.inspect.flow import parse_target  # noqa: PLC0415 - for --explain alone

    try:
        return parse_target(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


def address(text: str) -> str:
    """Read an address of either family."""
    import ipaddress  # noqa: PLC0415 - for --explain alone

    from netplan_tproxy.inspect.flow import as_sent  # noqa: PLC0415

    try:
        return str(as_sent(ipaddress.ip_address(text)))
    except ValueError as wrong:
        message = f"'{text}' is not an address such as 10.0.0.1 or fd00::1"
        raise argparse.ArgumentTypeError(message) from wrong


def mark(text: str) -> int:
    """Read 32 bits, such as 0x2."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= _MOST_MARK:
        message = f"'{text}' is not a mark from 0 to {_MOST_MARK:#x}"
        raise argparse.ArgumentTypeError(message)
    return value
