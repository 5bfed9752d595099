"""What a plain scalar means here: a null, a yes/no value, a whole number, or text.

YAML 1.1 (yaml.org/type) also has sexagesimal and octal numbers, underscores, fractions and
dates. No key of a site file takes any of them, and ``22:30`` must not become 1350, so all of
these stay text, and what could be read in two ways is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netplan_tproxy.system.text import shown

if TYPE_CHECKING:
    from netplan_tproxy.site.yaml.nodes import Value

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset(
    form for word in ("yes", "on", "true") for form in (word, word.title(), word.upper())
)
_FALSE = frozenset(
    form for word in ("no", "off", "false") for form in (word, word.title(), word.upper())
)
_NUMBER = re.compile(r"[-+]?(?:0x[0-9a-fA-F]+|0|[1-9][0-9]*)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST_NUMBER = 40  # digits; int() refuses more than 4300 with a ValueError

TAG = "tag:yaml.org,2002:"


def resolve(text: str) -> Value:
    """Return the value of a plain scalar.

    Raises ValueError, with the end of a message, for what has no single meaning.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _NUMBER.fullmatch(text):
        return _number(text)
    if _LEADING_ZERO.fullmatch(text):
        message = (
            f"{shown(text)} could be octal or decimal, expected a number without leading zeros, "
            "or text in quotes"
        )
        raise ValueError(message)
    if _NOT_FINITE.fullmatch(text):
        message = f"{shown(text)} is not a finite number, expected a whole number or text in quotes"
        raise ValueError(message)
    return text


def check_tag(tag: str, value: Value) -> str | None:
    """Return what is wrong with an explicit ``tag`` on a scalar that means ``value``, or None."""
    name = {str: "str", bool: "bool", int: "int"}.get(type(value), "null")
    if tag in ("!", TAG + name):
        return None
    return f"tag {shown(tag.replace(TAG, '!!'))} is not supported, expected no tag"


def _number(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        message = (
            f"{shown(text)} is too long for a number, expected at most {_LONGEST_NUMBER} digits"
        )
        raise ValueError(message)
    return int(text, 0)
