"""--json in every mode: one document, by the schema, and errors with stable codes."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from netplan_tproxy import errors
from netplan_tproxy.datapath.fastpath import OUTCOMES
from netplan_tproxy.inspect.doctor.finding import LEVELS
from netplan_tproxy.output.explain import _ENDS
from tests.lab.host import CHANGES, SITE, Host, unchanged
from tests.lab.patience import LONG
from tests.paths import ROOT

lab = pytest.mark.lab
bpf = pytest.mark.bpf

FILE = ROOT / "schemas/output.schema.json"
RAW: dict[str, Any] = json.loads(FILE.read_text())
SCHEMA = Draft202012Validator(RAW, format_checker=Draft202012Validator.FORMAT_CHECKER)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
ALL_OF_IT = """\
version: 1
site: all
interfaces: {wan0: {intercept: output}}
proxy: {tcp: {port: 9040}, tcp6: {port: 9041}, udp: {port: 9040}}
intercept: {to: [0.0.0.0/0], ports: [80, 443]}
bypass: {to: [20.0.0.0/8], users: [root]}
fastpath: {enabled: true, accept: [fionread]}
"""


def document(host: Host, *arguments: str) -> dict[str, Any]:
    """The one document of a run, which says its exit code and nothing to standard error."""
    done = host.run(*arguments, "--json")
    found: dict[str, Any] = json.loads("\n".join(done.out))
    SCHEMA.validate(found)
    assert found["exit"] == done.code
    assert done.err == ""
    return found


def of_every_mode(host: Host, folder: Path) -> dict[str, dict[str, Any]]:
    """A document of each mode, by what was typed; where there are parts, with all of them."""
    site, root = str(host.site), str(folder / "root")
    host.write(SITE)
    made: dict[str, dict[str, Any]] = {}

    def run(*arguments: str) -> None:
        name = " ".join(arguments).replace(site, "site").replace(root, "root")
        made[f"{name} {len(made)}"] = document(host, *arguments)

    for arguments in (
        ["--status"], [site, "--dry-run"], [site, "--check"], [site], [site, "--check"],
        ["--status"], ["--explain", "1.1.1.1:443"], ["--doctor", site], ["--commit"],
        ["--rollback"], ["--destroy", "--dry-run"], ["--install-service", "--root", root],
        ["--install-service", "--root", root],
    ):  # fmt: skip
        run(*arguments)
    host.write(ALL_OF_IT)
    run(site, "--check", "--diff", "--replace")
    run(site)
    run(site, "--replace", "--confirm", "600", "--detach")
    with host.namespace.popen(
        [sys.executable, "-m", "netplan_tproxy.relay", "--listen", "127.0.0.1:9040", "--mark=2"],
        cwd=ROOT, stderr=subprocess.PIPE,
    ) as relay:  # fmt: skip
        assert relay.stderr is not None
        relay.stderr.readline()
        run("--status", "-v")
        run("--explain", "20.1.2.3:443", "--user", "daemon")
        relay.terminate()
    run("--commit")
    host.sh("ip rule del priority 1000")
    run("--status", site)
    host.write("what: 1\nproxy: {port: 0}\ninterfaces: {}\n")
    run("--status", site)
    run(site)
    run(str(folder / "none.yaml"))
    run("--doctor", site)
    run("--explain", "1.1.1.1:443", "--from", "wan9")
    run("--chekc")
    run("--destroy")
    return made


@lab
@bpf
def test_each_mode_prints_one_document_that_is_all_in_the_schema(
    host: Host, tmp_path: Path
) -> None:
    made = of_every_mode(host, tmp_path)
    assert {name.rpartition(" ")[0]: (one["mode"], one["exit"]) for name, one in made.items()} == {
        "--status": ("status", 10), "site --dry-run": ("dry-run", 0), "site --check": ("check", 10),
        "site": ("apply", 65), "--explain 1.1.1.1:443": ("explain", 0),
        "--doctor site": ("doctor", 1), "--commit": ("commit", 0), "--rollback": ("rollback", 7),
        "--destroy --dry-run": ("dry-run", 0), "--destroy": ("destroy", 0),
        "--install-service --root root": ("install-service", 0),
        "site --check --diff --replace": ("check", 2), "--chekc": ("usage", 64),
        "site --replace --confirm 600 --detach": ("apply", 0), "--status -v": ("status", 10),
        "--explain 20.1.2.3:443 --user daemon": ("explain", 0), "--status site": ("status", 2),
        "--explain 1.1.1.1:443 --from wan9": ("explain", 1),
        f"{tmp_path}/none.yaml": ("apply", 65),
    }  # fmt: skip
    # Another validator says so too, of all of them at once.
    paths = []
    for number, one in enumerate(made.values()):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(one))
    words = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(FILE)]
    done = subprocess.run(
        [*words, *map(str, paths)], capture_output=True, text=True, check=False, timeout=LONG
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    seen = {key for one in made.values() for key in keys(one)}
    assert {"means", "diff", "pending", "seconds", "drift", "fastpath", "decided_by"} <= seen
    # The longest of each mode has every part.
    longest = {one["mode"]: one for one in sorted(made.values(), key=lambda one: len(str(one)))}
    for one in longest.values():
        for broken in spoilt(one):
            assert not SCHEMA.is_valid(broken), broken


def keys(value: Any) -> Iterator[str]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield from value
    for one in below:
        yield from keys(one)


def spoilt(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with a key more in one of its maps, or a text for a map or a list."""
    for path in places(whole):
        extended = copy.deepcopy(whole)
        there = at(extended, path)
        if isinstance(there, dict):
            there["banana"] = 1
            yield extended
        if path:
            replaced = copy.deepcopy(whole)
            at(replaced, path[:-1])[path[-1]] = "banana"
            yield replaced


def at(value: Any, path: tuple[Any, ...]) -> Any:
    return at(value[path[0]], path[1:]) if path else value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is a map or a list; of a list the first is enough."""
    if isinstance(value, dict | list):
        yield path
        pairs = value.items() if isinstance(value, dict) else list(enumerate(value))[:1]
        for step, below in pairs:
            yield from places(below, (*path, step))


@pytest.mark.parametrize(
    ("where", "known"),
    [
        ("fastpath", {*OUTCOMES, "sockets", "connections", "most_connections"}),
        ("error", {"code", "message", "file", "line", "column"}),
    ],
)
def test_the_keys_of_the_schema_are_those_of_the_code(where: str, known: set[str]) -> None:
    assert set(RAW["$defs"][where]["properties"]) == known


def test_the_words_of_the_schema_are_those_of_the_code() -> None:
    explain = RAW["$defs"]["of-explain"]["properties"]["outcome"]["enum"]
    assert set(explain) == set(_ENDS)
    assert RAW["$defs"]["finding"]["properties"]["level"]["enum"] == list(LEVELS)


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(RAW)


@lab
@bpf
def test_times_are_epochs_and_rfc_3339(host: Host) -> None:
    host.applied()
    site = document(host, "--status")["site"]
    assert TIME.fullmatch(site["time"])
    host.write(SITE.replace("9040", "9041"))
    pending = document(host, str(host.site), "--confirm", "600", "--detach")["pending"]
    assert TIME.fullmatch(pending["deadline"])
    assert pending["at"] > site["at"]
    document(host, "--rollback")


@lab
@bpf
def test_the_plan_is_there_change_by_change(host: Host) -> None:
    looked = document(host, str(host.site), "--dry-run")
    done = document(host, str(host.site))
    shown, made = looked["plan"], done["plan"]
    assert shown == made
    assert len(made["changes"]) == CHANGES
    assert made["counts"] == {"add": CHANGES - 1, "change": 1, "remove": 0}
    assert made["changes"][0]["title"] == "sysctl net.ipv4.conf.lo.accept_local"
    assert (made["changes"][0]["before"], made["changes"][0]["after"]) == ("0", "1")
    line = {"action": "add", "text": "TCP leaving wan0 → 127.0.0.1:9040", "detail": False}
    assert looked["means"] == done["means"] == [line]
    assert "seconds" not in looked
    assert done["seconds"] > 0


@lab
@bpf
def test_a_wrong_file_says_where(host: Host) -> None:
    host.write(SITE + "what: 1\nproxy2: {}\n")
    with unchanged(host.stare):
        found = document(host, str(host.site))
    assert found["exit"] == 65
    places = [(error["code"], error["line"], error["column"]) for error in found["errors"]]
    assert places == [("site", 5, 1), ("site", 6, 1)]
    assert found["errors"][0]["file"] == str(host.site)
    assert found["errors"][0]["message"].startswith("what: ")


@lab
def test_every_problem_of_a_file_names_the_file(host: Host) -> None:
    networks = host.site.parent / "networks.txt"
    networks.write_text("10.0.0.0/8\n10.0.0.0/33\n")
    host.write(SITE + "bypass: {to_files: [networks.txt, none.txt]}\n")
    first, second = document(host, str(host.site))["errors"]
    assert (first["file"], first["line"]) == (str(networks), 2)
    assert (second["file"], second["line"]) == (str(host.site), 5)
    host.write(SITE + "".join(f"key{number}: 1\n" for number in range(30)))
    *_, last = document(host, str(host.site))["errors"]
    assert (last["file"], last["line"]) == (str(host.site), None)
    assert last["message"] == "and 10 more problems"


@lab
@bpf
def test_what_is_in_the_way_is_a_conflict(host: Host) -> None:
    host.sh("ip route add blackhole default table 100")
    try:
        found = document(host, str(host.site))
    finally:
        host.sh("ip route del blackhole default table 100")
    assert (found["exit"], [error["code"] for error in found["errors"]]) == (6, ["conflict"])


@lab
@bpf
def test_a_failure_half_way_is_told_with_its_plan(host: Host) -> None:
    host.write(SITE + "sysctls: {net.ipv4.ip_default_ttl: 999}\n")
    found = document(host, str(host.site))
    assert (found["exit"], found["errors"][0]["code"]) == (3, "rolled-back")
    assert found["plan"]["changes"]
    assert "seconds" not in found


def test_every_code_is_on_the_page_with_its_exit_code() -> None:
    page = (ROOT / "docs/errors.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", page, re.MULTILINE))
    known = {
        kind.code: str(kind.exit_code)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TproxyError)
    }
    assert listed == known
    assert set(RAW["$defs"]["error"]["properties"]["code"]["enum"]) == set(known)
