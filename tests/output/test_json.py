"""--json in every mode: one document, by the schema, and errors with stable codes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from netplan_tproxy import errors
from tests.lab.host import CHANGES, SITE, Host, unchanged
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SCHEMA = Draft202012Validator(json.loads((ROOT / "schemas/output.schema.json").read_text()))


def document(host: Host, *arguments: str) -> dict[str, Any]:
    """The one document of a run, which says its exit code and nothing to standard error."""
    done = host.run(*arguments, "--json")
    found: dict[str, Any] = json.loads("\n".join(done.out))
    SCHEMA.validate(found)
    assert found["exit"] == done.code
    assert done.err == ""
    return found


def test_each_mode_prints_one_document(host: Host) -> None:
    site = str(host.site)
    seen = {}
    for arguments in (
        ["--status"], [site, "--dry-run"], [site, "--check"], [site], [site, "--check"],
        ["--status"], ["--explain", "1.1.1.1:443"], ["--doctor", site], ["--commit"],
        ["--rollback"], ["--destroy", "--dry-run"], ["--destroy"],
    ):  # fmt: skip
        found = document(host, *arguments)
        seen[" ".join([*arguments, str(found["exit"])]).replace(site, "site")] = found["mode"]
    assert seen == {
        "--status 0": "status", "--status 10": "status", "site --dry-run 0": "dry-run",
        "site --check 2": "check",
        "site 0": "apply", "site --check 10": "check", "--explain 1.1.1.1:443 0": "explain",
        "--doctor site 1": "doctor", "--commit 7": "commit", "--rollback 7": "rollback",
        "--destroy --dry-run 0": "dry-run", "--destroy 0": "destroy",
    }  # fmt: skip


def test_the_plan_is_there_change_by_change(host: Host) -> None:
    shown = document(host, str(host.site), "--dry-run")["plan"]
    made = document(host, str(host.site))["plan"]
    assert shown == made
    assert len(made["changes"]) == CHANGES
    assert made["counts"] == {"add": CHANGES - 1, "change": 1, "remove": 0}
    assert made["changes"][0]["title"] == "sysctl net.ipv4.conf.lo.accept_local"
    assert (made["changes"][0]["before"], made["changes"][0]["after"]) == ("0", "1")


def test_a_wrong_file_says_where(host: Host) -> None:
    host.write(SITE + "what: 1\nproxy2: {}\n")
    with unchanged(host.stare):
        found = document(host, str(host.site))
    assert found["exit"] == 65
    places = [(error["code"], error["line"], error["column"]) for error in found["errors"]]
    assert places == [("site", 5, 1), ("site", 6, 1)]
    assert found["errors"][0]["file"] == str(host.site)
    assert found["errors"][0]["message"].startswith("what: ")


def test_what_is_in_the_way_is_a_conflict(host: Host) -> None:
    host.sh("ip route add blackhole default table 100")
    try:
        found = document(host, str(host.site))
    finally:
        host.sh("ip route del blackhole default table 100")
    assert (found["exit"], [error["code"] for error in found["errors"]]) == (6, ["conflict"])


def test_a_failure_half_way_is_told_with_its_plan(host: Host) -> None:
    host.write(SITE + "sysctls: {net.ipv4.ip_default_ttl: 999}\n")
    found = document(host, str(host.site))
    assert (found["exit"], found["errors"][0]["code"]) == (3, "rolled-back")
    assert found["plan"]["changes"]


def test_every_code_is_on_the_page_with_its_exit_code() -> None:
    page = (ROOT / "docs/errors.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", page, re.MULTILINE))
    known = {
        kind.code: str(kind.exit_code)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TproxyError)
    }
    assert listed == known
    schema = json.loads((ROOT / "schemas/output.schema.json").read_text())
    assert set(schema["$defs"]["error"]["properties"]["code"]["enum"]) == set(known)
