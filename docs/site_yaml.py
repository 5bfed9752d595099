"""Write docs/site-yaml.md from the schema: ``python docs/site_yaml.py``.

A test fails while the two differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netplan_tproxy.site.schema.location import site_schema

HERE = Path(__file__).parent
PAGE = HERE / "site-yaml.md"
HEAD = """\
# The site file, key by key

<!-- made by docs/site_yaml.py from schemas/site.schema.json: change that, not this -->

An editor that knows yaml-language-server (VS Code's YAML extension, Neovim, Emacs and others)
completes and checks the file while you type, with this as its first line:

```yaml
# yaml-language-server: $schema=/opt/netplan-tproxy/share/netplan-tproxy/site.schema.json
```

That is where an [installation](install.md) puts it; in a clone it is `schemas/site.schema.json`.
`catalog.json` beside it has the names of files that it is for. The editor knows most of what can be
wrong in a file; what is about this host, or two keys together, only `tproxy-apply --check` knows.

Values in one line are in YAML's flow style; `examples/full.yaml` has every key in place. A site
file has at most 2 MiB and 50 000 values; more networks than fit go into files (`to_files`).
"""

Schema = Mapping[str, Any]


def page(root: Schema) -> str:
    """Give the page as text."""
    return "\n".join([HEAD, *sections(root, root, "")])


def sections(root: Schema, schema: Schema, path: str) -> Iterator[str]:
    """Give one section a key, outer keys first."""
    required = schema.get("required", ())
    for key, found in schema.get("properties", {}).items():
        where = f"{path}.{key}" if path else key
        yield from section(root, resolved(root, found), where, needed=key in required)


def section(root: Schema, schema: Schema, where: str, *, needed: bool) -> Iterator[str]:
    """Give the section of one key, and those of the keys below it."""
    yield f"{'#' * min(2 + where.count('.'), 4)} `{where}`\n"
    yield f"{schema['description']}\n"
    facts = [kind(root, schema)]
    if needed:
        facts.append("needed")
    elif "default" in schema:
        facts.append(f"default: `{flow(schema['default'])}`")
    yield f"- {'; '.join(fact for fact in facts if fact)}"
    for example in schema.get("examples", [])[:3]:
        yield f"- for instance `{where.rpartition('.')[2].partition('[')[0]}: {flow(example)}`"
    yield ""
    for one in (schema, *objects(root, schema)):
        yield from sections(root, one, where)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        yield from section(root, resolved(root, extra), f"{where}.NAME", needed=False)
    items = schema.get("items")
    if isinstance(items, dict):
        inner = resolved(root, items)
        if "properties" in inner:
            yield from sections(root, inner, f"{where}[]")


def resolved(root: Schema, schema: Schema) -> Schema:
    """Put in what ``$ref`` names; what stands beside it goes before."""
    if "$ref" not in schema:
        return schema
    found: Any = root
    for name in schema["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**resolved(root, found), **beside}


def objects(root: Schema, schema: Schema) -> list[Schema]:
    """Give the maps among the alternatives."""
    found = [resolved(root, one) for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]
    return [one for one in found if "properties" in one]


def kind(root: Schema, schema: Schema) -> str:
    """Say in words what values are right."""
    if "const" in schema:
        return f"`{flow(schema['const'])}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{flow(value)}`" for value in schema["enum"])
    if isinstance(schema.get("items"), dict):
        of = resolved(root, schema["items"])
        return f"a list; each is {of.get('x-expect') or kind(root, of)}"
    if "x-expect" in schema:
        return str(schema["x-expect"])
    bounds = [f"{schema[word]}" for word in ("minimum", "maximum") if word in schema]
    words = schema.get("type", "")
    name = words if isinstance(words, str) else " or ".join(words)
    return f"{name} from {' to '.join(bounds)}" if len(bounds) > 1 else name


def flow(value: object) -> str:
    """Give a value in YAML's flow style, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(member) for member in value) + "]"
    if isinstance(value, str):
        plain = value and not value.startswith(":") and ": " not in value and "," not in value
        return value if plain else json.dumps(value)
    return json.dumps(value)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(site_schema()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
