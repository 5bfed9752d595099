"""Write docs/features.md from the table of features: ``python docs/features.py``.

A test fails while the two differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.features import Feature

PAGE = Path(__file__).parent / "features.md"
HEAD = """\
# What is asked of the kernel

<!-- made by docs/features.py from netplan_tproxy/kernel/features.py: change that, not this -->

Every helper, program type, map type and flag that is used, the Linux that brought it, and what
happens on a kernel without it. A version is for words: whether the running kernel has something is
tried, as distributions bring things of later kernels to earlier ones. `tproxy-apply --doctor` tries
all of it, and a refusal says what is missing:

```text
site.yaml:4:12: fastpath.enabled: fastpath needs Linux 5.19 (bpf_skc_to_mptcp_sock), this is 5.10
```
"""
_NEEDS = {
    features.EVERY: "any site file",
    features.RAW_IP: "a device without a link-layer header (tun, WireGuard, PPP)",
    features.FASTPATH: "`fastpath`",
    features.TCX: "`attach: tcx`",
}


def page() -> str:
    """Give the page as text."""
    return "\n".join([HEAD, *_least(), *_helpers(), *_others()])


def _least() -> Iterator[str]:
    yield "## The least Linux\n"
    yield "| for | Linux | what came last |\n| --- | --- | --- |"
    for by, words in _NEEDS.items():
        last = features.needed(by)
        yield f"| {words} | {features.written(last.since)} | `{last.name}` |"
    yield ""


def _helpers() -> Iterator[str]:
    yield "## Helpers that the programs call\n"
    titles = {
        features.SCHED_CLS: "By tc programs:",
        features.SOCK_OPS: "By `fast_sockops`, on the fast path's cgroup:",
        features.SK_MSG: "By `fast_msg`, on the fast path's map of sockets:",
    }
    for kind, title in titles.items():
        yield f"{title}\n"
        yield "| helper | Linux | what for | without it |\n| --- | --- | --- | --- |"
        for one in sorted(features.HELPERS[kind], key=lambda one: one.since):
            yield f"| `{one.name}` | {_rest(one)} |"
        yield ""


def _others() -> Iterator[str]:
    yield "## All else\n"
    yield "| what | kind | Linux | what for | without it |\n| --- | --- | --- | --- | --- |"
    for one in sorted(features.OTHERS, key=lambda one: one.since):
        name = one.name if " " in one.name else f"`{one.name}`"
        yield f"| {name} | {one.kind} | {_rest(one)} |"
    yield ""


def _rest(one: Feature) -> str:
    return f"{features.written(one.since)} | {one.why} | {one.consequence}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
