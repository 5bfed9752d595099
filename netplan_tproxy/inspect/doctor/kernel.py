"""What the kernel can do: tried where a try leaves no trace, else read."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from netplan_tproxy.datapath import features
from netplan_tproxy.datapath.build import demands_transparency
from netplan_tproxy.datapath.programs import program_source
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.inspect.doctor.finding import Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.shared_ports import TAKES_SHARED_PORTS
from netplan_tproxy.kernel.host.release import linux_version
from netplan_tproxy.kernel.host.sysctl import read_sysctl
from netplan_tproxy.kernel.netlink.probe import require_clsact

_NEEDED = (5, 7)
_ANYBODY = (
    "whoever listens on the proxy's address and port is given everything, any user's socket too"
)
_NEWER = "use a kernel with CONFIG_DEBUG_INFO_BTF (Linux >= 6.2, or >= 5.7 without lockdown)"
_AS_ROOT = "run it with sudo to see"


def examine(target: Target) -> list[Finding]:
    """Try BPF and clsact; read the version, BTF, the JIT and lockdown."""
    tried = _tried() if target.privileged else [_untried()]
    return [_version(platform.release()), *tried, _btf(target), *_jit(), _lockdown()]


def _version(release: str) -> Finding:
    version = linux_version(release)
    if version < _NEEDED:
        return fail(
            "kernel.version", f"Linux {release}: bpf_sk_assign came with 5.7", "use a newer kernel"
        )
    if version < TAKES_SHARED_PORTS:
        return warn(
            "kernel.version",
            f"Linux {release}: before 6.6 bpf_sk_assign refuses a listener with SO_REUSEPORT",
            "let the proxy listen without SO_REUSEPORT",
        )
    return ok("kernel.version", f"Linux {release}")


def _untried() -> Finding:
    return unseen("kernel.bpf", "loading programs was not tried: that takes CAP_BPF", _AS_ROOT)


def _tried() -> list[Finding]:
    try:
        features.try_bpf()
    except TproxyError as refusal:
        advice = "see lockdown, seccomp and CONFIG_BPF_SYSCALL of this kernel or container"
        return [fail("kernel.bpf", f"a program that does nothing is refused: {refusal}", advice)]
    findings = [ok("kernel.bpf", "a tc program that does nothing is loaded")]
    needed = features.HELPERS.keys() - features.OPTIONAL
    called = sorted(set(re.findall(r"\bbpf_\w+(?=\()", program_source())) & needed)
    missing = [name for name in called if features.lacks(name)]
    findings.append(
        fail("kernel.helpers", f"no {', '.join(missing)} here", "use a newer kernel")
        if missing
        else ok("kernel.helpers", f"all {len(called)} helpers that the programs call are there")
    )
    refused = features.refused_maps()
    findings.append(
        fail("kernel.maps", "; ".join(refused), "use a newer kernel, or raise `ulimit -l`")
        if refused
        else ok("kernel.maps", "each of the maps can be made")
    )
    try:
        require_clsact()
    except TproxyError as refusal:
        text = str(refusal).removesuffix("; nothing was touched")
        findings.append(fail("kernel.clsact", text, "use a kernel with CONFIG_NET_CLS_ACT"))
    else:
        findings.append(ok("kernel.clsact", "clsact was made, in a namespace that is gone again"))
    return findings


def _btf(target: Target) -> Finding:
    places = ("/sys/kernel/btf/vmlinux", "/proc/1/root/sys/kernel/btf/vmlinux")
    # Path.exists raises where a folder above is not for us to see.
    if any(os.path.exists(place) for place in places):  # noqa: PTH110
        if target.privileged and not demands_transparency():
            return warn("kernel.btf", f"BTF, but no way to read sockets: {_ANYBODY}", _NEWER)
        return ok("kernel.btf", "the kernel describes its types (BTF)")
    if target.site is not None and target.site.fastpath.enabled:
        return fail(
            "kernel.btf", "no BTF, which the fast path needs", "set fastpath: {enabled: false}"
        )
    return warn("kernel.btf", f"no BTF: {_ANYBODY}", _NEWER)


def _jit() -> list[Finding]:
    try:
        value = read_sysctl("net/core/bpf_jit_enable")
    except TproxyError:
        return []
    if value == "0":
        return [
            warn(
                "kernel.jit",
                "net.core.bpf_jit_enable is 0: programs are interpreted, several times slower",
                "`sysctl -w net.core.bpf_jit_enable=1`",
            )
        ]
    return []


def _lockdown() -> Finding:
    try:
        text = Path("/sys/kernel/security/lockdown").read_text(encoding="ascii")
    except OSError:
        return unseen(
            "kernel.lockdown",
            "lockdown cannot be read (no securityfs at /sys/kernel/security, or a kernel without "
            "lockdown): what was tried above counts",
        )
    mode = re.search(r"\[(\w+)\]", text)
    said = mode[1] if mode else "none"
    if said == "confidentiality":
        return ok(
            "kernel.lockdown",
            "lockdown is confidentiality: that refuses tracing, which is not used here",
        )
    return ok("kernel.lockdown", f"lockdown is {said}")
