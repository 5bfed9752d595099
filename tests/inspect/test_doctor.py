"""`--doctor`: the whole report, with and without site file, root and colours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.cli import main as cli
from netplan_tproxy.datapath import trials
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.inspect import doctor, shared_ports
from netplan_tproxy.inspect.doctor import kernel, tools
from netplan_tproxy.inspect.doctor.finding import (
    FAIL,
    LEVELS,
    OK,
    UNSEEN,
    WARN,
    Finding,
    Report,
    ok,
    warn,
)
from netplan_tproxy.inspect.doctor.target import ALL_PROGRAMS, Target
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.netlink.links import Link
from netplan_tproxy.output.doctor import lines, summary
from netplan_tproxy.output.style import Style
from netplan_tproxy.site.load import parse
from tests.lab import Lab, diff_snapshots, snapshot
from tests.lab.effort import is_done_within
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "version: 1\ninterfaces:\n  wan0: {}\nproxy: {port: 9040}\n"


@pytest.fixture(scope="module")
def host() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def level(report: Report, code: str) -> str:
    (found,) = {finding.level for finding in report.findings if finding.code == code}
    return found


@pytest.mark.lab
@pytest.mark.bpf
def test_a_host_whose_proxy_does_not_run_has_that_one_failure(host: Lab, site: Path) -> None:
    before = snapshot(host.host)
    with host.host.entered():
        report = doctor.examine(str(site), named=True)
    assert [finding.code for finding in report.findings if finding.level == FAIL] == [
        "listener.tcp"
    ]
    assert report.code == 1
    assert level(report, "tools.programs") == OK
    assert level(report, "kernel.helpers") == OK
    assert diff_snapshots(before, snapshot(host.host)) == []


@pytest.mark.lab
@pytest.mark.bpf
def test_without_a_site_file_it_says_what_it_could_not_look_at(
    host: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    with host.host.entered():
        assert cli.main(["--doctor"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "there is no /etc/netplan-tproxy/site.yaml" in out
    assert out.splitlines()[-1].startswith("no site file: ")


@pytest.mark.lab
@pytest.mark.bpf
def test_what_it_logs_of_its_tries_is_whether_they_are_there(host: Lab) -> None:
    words = [sys.executable, "-m", "netplan_tproxy", "--doctor", "-v"]
    logged = host.host.run(words, cwd=ROOT).stderr
    assert "bpf: helper bpf_sk_assign: there" in logged
    assert "denied" not in logged


@pytest.mark.lab
@pytest.mark.bpf
@pytest.mark.parametrize("text", [SITE.replace("9040", "0"), "nonsense: [", ""])
def test_a_wrong_site_file_is_a_failure_and_the_rest_is_looked_at(
    host: Lab, site: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write_text(text)
    with host.host.entered():
        assert cli.main(["--doctor", str(site)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert f"FAIL  {site}" in out
    assert "CAP_NET_ADMIN and CAP_BPF are held" in out


@pytest.mark.lab
def test_without_root_it_works_and_says_what_it_could_not_look_at(host: Lab) -> None:
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    words += [sys.executable, "-m", "netplan_tproxy", "--doctor"]
    done = host.host.run(words, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    assert "without CAP_NET_ADMIN and CAP_BPF: part of this could not be checked" in text
    assert "loading programs was not tried" in text
    assert "cannot be read without CAP_NET_ADMIN" in text


@pytest.mark.lab
def test_root_without_capabilities_is_a_failure(host: Lab) -> None:
    words = ["setpriv", "--bounding-set=-all", sys.executable, "-m", "netplan_tproxy", "--doctor"]
    done = host.host.run(words, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL  root, but without CAP_NET_ADMIN and CAP_BPF" in done.stdout


@pytest.mark.lab
@pytest.mark.parametrize(("flags", "expected"), [("bind", OK), ("bind,ro", FAIL)])
def test_sysctls_that_cannot_be_set_are_a_failure(host: Lab, flags: str, expected: str) -> None:
    look = "from netplan_tproxy.inspect.doctor import network; print(network._writable().level)"
    mounts = f"mount --bind /proc/sys /proc/sys && mount -o remount,{flags} /proc/sys"
    line = f'{mounts} && exec "{sys.executable}" -c "{look}"'
    done = host.host.run(["unshare", "--mount", "sh", "-c", line], cwd=ROOT)
    assert done.stdout == f"{expected}\n"


@pytest.mark.lab
@pytest.mark.bpf
def test_helpers_that_a_kernel_lacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernel._helpers(Target()).level == OK
    monkeypatch.setattr(features, "linux_version", lambda: (5, 6))
    for name, level, text in (
        ("bpf_sk_assign", FAIL, "intercepting needs Linux 5.7 (bpf_sk_assign), this is 5.6"),
        ("bpf_skb_change_head", WARN, "needs Linux 5.8 (bpf_skb_change_head), this is 5.6"),
        ("bpf_skc_to_tcp_timewait_sock", OK, ""),
    ):
        lacked = features.named(name)
        with monkeypatch.context() as patch:
            patch.setattr(trials, "lacks", lambda one, _, lacked=lacked: one == lacked)
            told = kernel._helpers(Target())
            assert (told.level, text in told.text) == (level, True)


def test_what_a_device_of_the_site_needs_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "missing", lambda _: [features.named("bpf_skb_change_head")])
    site = parse("version: 1\ninterfaces: {tun0: {}}\nproxy: {port: 9040}\n", "site.yaml")
    for device, level in ((0xFFFE, FAIL), (1, WARN)):
        target = Target(site, {"tun0": Link("tun0", 2, device)})
        assert kernel._helpers(target).level == level


@pytest.mark.parametrize(
    ("release", "expected"),
    [("4.19.0-27", FAIL), ("5.6.19", FAIL), ("5.7.0", WARN), ("5.15.0-91-generic", WARN),
     ("6.1.0-18-amd64", WARN), ("6.6.0", OK), ("6.12", OK), ("7.0.0-rc1", OK)],
)  # fmt: skip
def test_the_version_decides(monkeypatch: pytest.MonkeyPatch, release: str, expected: str) -> None:
    monkeypatch.setattr(shared_ports, "knows_shared_ports", lambda: False)
    assert kernel._version(release, has_all=False).level == expected


def test_what_was_tried_counts_more_than_the_version() -> None:
    # RHEL's kernel has what it takes from later ones.
    assert kernel._version("4.18.0-513.el8", has_all=True).level != FAIL


def test_a_kernel_that_refuses_bpf_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        message = "load program probe: Operation not permitted"
        raise KernelError(message, 1)

    monkeypatch.setattr(trials, "try_bpf", refuse)
    found = {one.code: one for one in kernel.examine(Target(privileged=True))}
    assert found["kernel.bpf"].level == FAIL
    assert "Operation not permitted" in found["kernel.bpf"].text


def test_a_missing_tool_is_a_failure_and_ends_the_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = {one.code: one.level for one in tools.examine(Target(privileged=True))}
    assert found["tools.bcc"] == FAIL
    assert "tools.programs" not in found


@pytest.mark.bpf
def test_a_program_that_is_refused_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(names: tuple[str, ...]) -> None:
        tried.append(names)
        message = "program wan_egress: bpf_sk_assign not supported; nothing was touched"
        raise TproxyError(message)

    monkeypatch.setattr(trials, "try_programs", refuse)
    (found,) = [one for one in tools.examine(Target(privileged=True)) if "programs" in one.code]
    assert (found.level, found.text) == (FAIL, "program wan_egress: bpf_sk_assign not supported")
    assert tried == [ALL_PROGRAMS]


def test_a_group_that_breaks_down_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def breakdown(_: Target) -> list[Finding]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kernel, "examine", breakdown)
    monkeypatch.setattr(doctor, "GROUPS", ("kernel", "mounts"))
    report = doctor.examine(str(tmp_path / "none"), named=False)
    assert level(report, "kernel.error") == UNSEEN
    # Which they are is a matter of the machine.
    assert "mounts.bpffs" in {finding.code for finding in report.findings}


SAMPLE = Report(
    "site.yaml",
    (
        ok("kernel.version", "Linux 6.18"),
        warn("marks.rules", "a rule " * 20 + "meets ours", "do this " * 20 + "now"),
        Finding("marks.netfilter", FAIL, "it fails", "mend it"),
        Finding("listener.loop", UNSEEN, "not seen"),
    ),
)


def test_lines_fit_the_terminal_and_say_everything() -> None:
    shown = lines(SAMPLE)
    assert max(map(len, shown)) <= 80
    text = " ".join(" ".join(shown).split())
    for finding in SAMPLE.findings:
        assert " ".join(finding.text.split()) in text
        assert " ".join(finding.advice.split()) in text
    assert shown[-1] == ("site.yaml: 1 ok, 1 failed, 1 warning, 1 unknown")
    assert (
        summary(Report("", (ok("a.b", ""), ok("a.c", ""))))
        == "no site file: 2 ok, 0 failed, 0 warnings"
    )
    assert shown[0] == "kernel"


def test_colours_change_nothing_but_colours() -> None:
    coloured = lines(SAMPLE, Style(on=True))
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == lines(SAMPLE)
    assert coloured != lines(SAMPLE)


def test_the_report_is_json_with_a_stable_code_for_each_finding() -> None:
    body = json.loads(json.dumps(SAMPLE.as_json()))
    assert body["counts"] == {"ok": 1, "warn": 1, "fail": 1, "unseen": 1}
    assert set(body["counts"]) == set(LEVELS)
    assert [one["code"] for one in body["findings"]] == [one.code for one in SAMPLE.findings]
    assert body["site"] == "site.yaml"


@pytest.mark.parametrize(
    "others", [["--destroy"], ["--confirm", "5"], ["--check"], ["--install-service"]]
)
def test_it_goes_with_no_other_mode(others: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--doctor", *others]) == 64
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("tproxy-apply: --")
    assert "--doctor" in said.err


@pytest.mark.lab
@pytest.mark.bpf
def test_it_takes_a_few_seconds_of_cpu_time() -> None:
    words = [sys.executable, "-m", "netplan_tproxy", "--doctor"]

    def examine() -> None:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.stderr == ""

    assert is_done_within(15, examine)
