"""What an editor shows and offers while a site file is typed: ``make editors``.

No part of ``make test``, as it needs node and packages from npm; pytest is given its name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import load
from tests.editors.server import PROGRAM, Server
from tests.lab.patience import LONG
from tests.output.test_json import of_every_mode
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.lab.host import Host

SCHEMA = ROOT / "schemas/site.schema.json"
DATA = ROOT / "tests/site/data"
BAD, GOOD = sorted((DATA / "bad").glob("*.yaml")), sorted((DATA / "good").glob("*.yaml"))
EXAMPLES = sorted([*(ROOT / "examples").glob("*.yaml"), *(ROOT / "examples").glob("**/site.yaml")])
PACKAGES = Path(os.environ.get("EDITOR_PACKAGES", ROOT / "build/editors"))
HEAD = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"

pytestmark = pytest.mark.skipif(
    not (PACKAGES / PROGRAM).exists(), reason="yaml-language-server is not installed: make editors"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(PACKAGES, SCHEMA) as running:
        yield running


def messages(server: Server, text: str) -> list[str]:
    return [one["message"] for one in server.diagnostics(text)]


@pytest.mark.parametrize("path", [*GOOD, *EXAMPLES], ids=lambda path: path.parent.name + path.stem)
def test_nothing_is_underlined_in_a_good_file(server: Server, path: Path) -> None:
    assert server.diagnostics(path.read_text(encoding="utf-8-sig"), path) == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_is_underlined_is_said_in_a_sentence(server: Server, path: Path) -> None:
    for message in messages(server, path.read_text(encoding="utf-8", errors="replace")):
        assert "pattern of" not in message
        assert "^" not in message


# What no schema can say: it is about two keys, another file, bytes, or what YAML is here.
BEYOND = re.compile(
    "marks?-|.*-twice|route-missing|rule-|rules-|.*-without-|to-files-|several-tables|sysctl-|yaml-"
    "|fastpath-budget|fastpath-cgroup|.*-over-15-bytes|only-comments|proxy-port-fraction"
    "|address-starts-with-a-colon|bypass-marks-overlap|route-host-bits-ipv6"
)


@pytest.mark.parametrize(
    "path", [one for one in BAD if not BEYOND.match(one.stem)], ids=lambda path: path.stem
)
def test_every_bad_file_that_a_schema_can_refuse_is_underlined(server: Server, path: Path) -> None:
    assert messages(server, path.read_text(encoding="utf-8", errors="replace"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bypass: {to: [10.0.0.0/33]}", "This is not a network such as 10.0.0.0/8 or"),
        ("bypass: {to: [10.1.2.3/8]}", "This has host bits set: "),
        ("intercept: {from: [10.1.2.3/31]}", "This has host bits set: "),
        ("bypass: {ports: [9000-8000]}", "This range ends before it starts."),
        ("bypass: {ports: [1-65536]}", "This is not within the ports 1 to 65535."),
        ("bypass: {ports: [99999]}", "Value is above the maximum of 65535."),
        ("route_tables: {255: [{to: 0.0.0.0/0}]}", "This table is the kernel's: "),
        ("route_tables: {7: [{to: 10.0.0.1/8}]}", "This has host bits set: "),
        ("rules: [{mark: intercept, table: 255}]", "This table is the kernel's: "),
        ("bypass: {marks: [x]}", "This is not a mark of 32 bits above 0 such as 0x1/0x1."),
        ("fastpath: {enabled: 7}", "This is not true or false."),
        ("fastpath: {enabled: maybe}", "This is not true or false."),
        ("proxyy: 1", "Property proxyy is not allowed."),
    ],
)
def test_what_a_schema_can_say_is_said_in_the_editor(
    server: Server, line: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text(f"{HEAD}{line}\n")
    with pytest.raises(SiteError):
        load(tmp_path / "site.yaml")
    (said,) = messages(server, f"{HEAD}{line}\n")
    assert said.startswith(message)


@pytest.mark.parametrize("word", ["yes", "no", "on", "Off", "true", "FALSE"])
def test_yes_means_the_same_to_both(server: Server, word: str, tmp_path: Path) -> None:
    text = f"{HEAD}fastpath: {{enabled: {word}}}\n"
    (tmp_path / "site.yaml").write_text(text)
    assert load(tmp_path / "site.yaml").fastpath.enabled is (
        word in {"yes", "on"} or word == "true"
    )
    assert messages(server, text) == []


PLACES = [
    ("", 0, 0), (HEAD, 3, 0), (HEAD + "rules:\n  - ", 4, 4), (HEAD + "route_tables:\n  ", 4, 2),
    (HEAD + "fastpath:\n  ", 4, 2), (HEAD + "bypass:\n  ", 4, 2), (HEAD + "marks:\n  ", 4, 2),
    (HEAD + "intercept:\n  ", 4, 2), (HEAD + "checks:\n  - ", 4, 4),
    ("version: 1\nproxy:\n  ", 2, 2), ("version: 1\nproxy:\n  tcp6:\n    ", 3, 4),
    ("version: 1\ninterfaces:\n  ", 2, 2), ("version: 1\ninterfaces:\n  wan0:\n    ", 3, 4),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column"), PLACES)
def test_what_is_offered_is_yaml_without_objects_in_it(
    server: Server, text: str, line: int, column: int
) -> None:
    offered = server.completions(text, line, column)
    assert offered
    for one in offered:
        inserted = one.get("textEdit", {}).get("newText") or one.get("insertText") or ""
        assert "[object Object]" not in inserted
        assert ": ::" not in inserted  # an address that begins with ':' needs quotes


def test_rules_are_offered_with_their_keys(server: Server) -> None:
    (rules,) = [one for one in server.completions(HEAD, 3, 0) if one["label"] == "rules"]
    inserted = rules.get("textEdit", {}).get("newText") or rules["insertText"]
    filled = HEAD + inserted.replace("$1", "intercept").replace("${2}", "100")
    assert {"mark", "table"} <= set(yaml.safe_load(filled)["rules"][0])


AJV = """
const Ajv = require("ajv/dist/2020"), formats = require("ajv-formats"), fs = require("fs");
const [schema, ...files] = process.argv.slice(1).map((p) => JSON.parse(fs.readFileSync(p)));
const ajv = new Ajv({strict: true, allowUnionTypes: true, strictRequired: false,
                     strictTypes: false, allErrors: true});
formats(ajv);
ajv.addVocabulary(["x-expect", "x-empty", "x-editor", "x-program", "errorMessage",
                   "patternErrorMessage"]);
const check = ajv.compile(schema);
for (const file of files) if (!check(file)) { console.log(ajv.errorsText(check.errors)); }
"""


def ajv(name: str, *documents: Path) -> tuple[int, str, str]:
    """Hold documents against a schema, in ajv's strict mode; give what it says."""
    # Not held against the schema: unions of types, which say what a key takes, and required keys
    # and types that stand beside a reference.
    node = shutil.which("node")
    assert node
    words = [node, "-e", AJV, str(ROOT / f"schemas/{name}.schema.json"), *map(str, documents)]
    done = subprocess.run(
        words, cwd=PACKAGES, capture_output=True, text=True, check=False, timeout=LONG
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["site", "output"])
def test_ajv_takes_the_schema_in_its_strict_mode(name: str) -> None:
    assert ajv(name) == (0, "", "")


@pytest.mark.lab
@pytest.mark.bpf
def test_ajv_takes_what_every_mode_really_prints_and_nothing_else(
    host: Host, tmp_path: Path
) -> None:
    paths = []
    for number, document in enumerate(of_every_mode(host, tmp_path).values()):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(document))
    assert ajv("output", *paths) == (0, "", "")
    paths[0].write_text(json.dumps({**json.loads(paths[0].read_text()), "interfaces": "banana"}))
    assert "must NOT have additional properties" in ajv("output", paths[0])[1]
