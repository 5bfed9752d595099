"""What an apply needs besides the kernel: bcc, libbpf and headers that fit together."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from netplan_tproxy.datapath import trials
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.kernel.bpf import libbpf

_HEADERS = Path("/usr/include/linux/pkt_cls.h")


def examine(target: Target) -> list[Finding]:
    """Look for each, then compile and load the programs and drop them."""
    findings = [_libbpf(), _bcc(), _headers()]
    if any(finding.level == "fail" for finding in findings):
        return findings
    if not target.privileged:
        said = "compiling and loading was not tried: that takes CAP_BPF"
        return [*findings, unseen("tools.programs", said, "run it with sudo to see")]
    return [*findings, _programs(target.programs)]


def _libbpf() -> Finding:
    try:
        libbpf.library()
    except TproxyError:
        return fail("tools.libbpf", "libbpf is not found", "`apt install python3-bpfcc` brings it")
    return ok("tools.libbpf", "libbpf is found")


def _bcc() -> Finding:
    spec = importlib.util.find_spec("bcc")
    if spec is None:
        return fail(
            "tools.bcc",
            "this Python finds no bcc",
            "`apt install python3-bpfcc`, and use /usr/bin/python3 or a venv with "
            "--system-site-packages",
        )
    there = [Path(place) for place in spec.submodule_search_locations or ()]
    if not any((place / "libbcc.py").exists() for place in there):
        return fail(
            "tools.bcc",
            f"the bcc that this Python finds ({spec.origin}) is another program, of PyPI",
            "`pip uninstall bcc`, and `apt install python3-bpfcc`",
        )
    return ok("tools.bcc", "bcc is found")


def _headers() -> Finding:
    if _HEADERS.exists():
        return ok("tools.headers", "the kernel's user-space headers are there (no others needed)")
    return fail("tools.headers", f"no {_HEADERS}", "`apt install linux-libc-dev`")


def _programs(names: tuple[str, ...]) -> Finding:
    try:
        trials.try_programs(names)
    except TproxyError as refusal:
        text = str(refusal).removesuffix("; nothing was touched")
        return fail(
            "tools.programs", text, "report it with the kernel's version if all above is ok"
        )
    return ok("tools.programs", f"{', '.join(names)}: compiled, loaded and dropped again")
