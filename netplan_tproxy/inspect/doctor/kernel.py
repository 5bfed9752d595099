"""What the kernel can do: tried where a try leaves no trace, else read."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from netplan_tproxy.datapath import trials
from netplan_tproxy.datapath.build import demands_transparency
from netplan_tproxy.errors import TproxyError
from netplan_tproxy.inspect.doctor.finding import OK, Finding, fail, ok, unseen, warn
from netplan_tproxy.inspect.doctor.target import Target
from netplan_tproxy.inspect.shared_ports import takes_shared_ports
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf.btf import is_described
from netplan_tproxy.kernel.host.release import linux_version
from netplan_tproxy.kernel.host.sysctl import read_sysctl
from netplan_tproxy.kernel.netlink.probe import require_clsact

_ANYBODY = (
    "whoever listens on the proxy's address and port is given everything, any user's socket too"
)
_NEWER = "use a kernel with CONFIG_DEBUG_INFO_BTF (Linux >= 6.2, or >= 5.8 without lockdown)"
_AS_ROOT = "run it with sudo to see"


def examine(target: Target) -> list[Finding]:
    """Try BPF and clsact; read the version, BTF, the JIT and lockdown."""
    tried = _tried(target) if target.privileged else [_untried()]
    has_all = target.privileged and all(finding.level == OK for finding in tried)
    version = _version(platform.release(), has_all=has_all)
    return [version, *tried, _btf(target), *_jit(), _lockdown()]


def _version(release: str, *, has_all: bool) -> Finding:
    """Judge a release; ``has_all``: what every site needs was tried, and is there."""
    code, version = "kernel.version", linux_version(release)
    newest = features.needed(features.EVERY)
    if version < newest.since and not has_all:
        text = f"Linux {release}: {newest.name} came with {features.written(newest.since)}"
        return fail(code, text, "use a newer kernel")
    if not takes_shared_ports(version):
        return warn(
            code,
            f"Linux {release}: before 6.6 bpf_sk_assign refuses a listener with SO_REUSEPORT",
            "let the proxy listen without SO_REUSEPORT",
        )
    return ok(code, f"Linux {release}")


def _untried() -> Finding:
    return unseen("kernel.bpf", "loading programs was not tried: that takes CAP_BPF", _AS_ROOT)


def _helpers(target: Target) -> Finding:
    """Try what tc programs call. What only other devices than the site's ask for is no failure."""
    asked = [one for one in features.TC_HELPERS if one.needed_by != features.NOBODY]
    missing = trials.missing(asked)
    code, advice = "kernel.helpers", "use a newer kernel"
    if not missing:
        return ok(code, f"all {len(asked)} helpers that the programs call are there")
    if all(one.needed_by == features.RAW_IP for one in missing):
        text = features.lacking("a device without a link-layer header (tun, WireGuard)", missing)
        return (fail if target.has_raw_ip else warn)(code, text, advice)
    return fail(code, features.lacking("intercepting", missing), advice)


def _tried(target: Target) -> list[Finding]:
    try:
        trials.try_bpf()
    except TproxyError as refusal:
        advice = "see lockdown, seccomp and CONFIG_BPF_SYSCALL of this kernel or container"
        return [fail("kernel.bpf", f"a program that does nothing is refused: {refusal}", advice)]
    findings = [ok("kernel.bpf", "a tc program that does nothing is loaded")]
    findings.append(_helpers(target))
    refused = trials.refused_maps()
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
    if is_described():
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
