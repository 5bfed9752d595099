"""Whether a file is a site file at all, and what may be said of one that is not.

Whoever may run this tool with more rights than their own (sudo) may name any file as the site
file. So nothing is quoted from a file that has hardly any of a site file's keys.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netplan_tproxy.site.schema.location import site_schema
from netplan_tproxy.site.schema.wording import missing_text
from netplan_tproxy.site.yaml.nodes import Mapping, Scalar
from netplan_tproxy.site.yaml.problem import Problem
from netplan_tproxy.site.yaml.syntax_errors import YAML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netplan_tproxy.site.yaml.nodes import Node

_LEAST_KEYS = 2
_KEY = re.compile(r"^(\w+)\s*:", re.MULTILINE)


def looks_like_a_site_file(text: str, root: Node | None) -> bool:
    """Return whether at least two of the three keys that every site file has are there.

    ``root`` is what ``text`` was parsed to, or None if it is not valid YAML.
    """
    keys = set(_KEY.findall(text)) if root is None else set()
    if isinstance(root, Mapping):
        keys = {entry.key for entry in root.entries}
    return len(keys.intersection(site_schema()["required"])) >= _LEAST_KEYS


def without_quotes(problems: Sequence[Problem], root: Node | None) -> list[Problem]:
    """Return what can be said of ``problems`` without a word of the file."""
    if root is None:
        fatal = problems[-1]
        path = () if fatal.path == () else YAML
        return [Problem(fatal.at, path, fatal.kind or fatal.text)]
    schema = site_schema()
    if not isinstance(root, Mapping):
        empty = isinstance(root, Scalar) and root.value is None
        what = "an empty value" if empty else "text" if isinstance(root, Scalar) else "a list"
        return [Problem(root.at, (), f"{what} is not {schema['x-expect']}")]
    absent = [key for key in schema["required"] if root.get(key) is None]
    missing = [Problem(root.at, (key,), missing_text(key, schema)) for key in absent]
    if all(problem.path[:1] in [(key,) for key in absent] for problem in problems):
        return missing
    names = ", ".join(schema["required"])
    text = f"does not look like a site file, so nothing of it is shown, would have the keys {names}"
    return [Problem(root.at, (), text), *missing]
