"""What fails before the first change: one clear line, exit 1, nothing touched."""

from __future__ import annotations

import errno
import fcntl
import shutil
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy import paths
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.datapath.layouts import MAPS, MapLayout
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf import compiler, libbpf
from netplan_tproxy.kernel.netlink import probe as kernel_probe
from tests.lab import compiled
from tests.lab.host import CHANGES, STATE, Host, unchanged
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing compiled or found out by another test counts."""
    monkeypatch.delenv(compiled.FOLDER)
    shutil.rmtree(paths.DEFAULT_CACHE, ignore_errors=True)  # a lab's own
    caches = (
        compiler._compile,
        libbpf.library,
        kernel_probe.require_clsact,
        paths.shared,
        datapath.program_source,
        datapath.source_digest,
    )
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the BPF sources, in use."""
    copy = tmp_path / "bpf"
    shutil.copytree(datapath.bpf_directory(), copy)
    monkeypatch.setattr(datapath, "bpf_directory", lambda: copy)
    return copy


def refused(host: Host) -> str:
    """The one line of an apply that must not touch anything."""
    with unchanged(host.stare):
        done = host.apply()
    assert done.code == 1
    assert done.err.startswith("tproxy-apply: ")
    assert done.err.endswith("; nothing was touched\n")
    assert done.err.count("\n") == 1
    assert not STATE.exists()
    return done.err


def test_a_source_that_does_not_compile(host: Host, sources: Path) -> None:
    main = sources / datapath.SOURCE
    main.write_text(main.read_text() + "int broken(void) { return undeclared_name; }\n")
    assert "undeclared identifier 'undeclared_name'" in refused(host)


def test_a_header_that_is_missing(host: Host, sources: Path) -> None:
    shutil.rmtree(sources / "kbuild")
    assert "compile bpf programs:" in refused(host)


def test_a_program_the_verifier_refuses(host: Host, sources: Path) -> None:
    main = sources / datapath.SOURCE
    text = main.read_text()
    start = "int wan_ingress(struct __sk_buff *skb)\n{\n"
    assert start in text
    main.write_text(text.replace(start, start + "\twhile (skb->len) ;\n"))
    said = refused(host)
    assert "load program wan_ingress: Invalid argument (" in said
    assert "(processed" not in said


def test_a_helper_the_kernel_lacks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    original = libbpf.call

    def call(function: str, *arguments: object, what: str, quiet: bool = False) -> int:
        if function != "bpf_prog_load":
            return original(function, *arguments, what=what, quiet=quiet)
        options = arguments[-1]._obj  # type: ignore[attr-defined]
        log = b"0: (85) call bpf_sk_assign#124\nunknown func bpf_sk_assign#124\n"
        if options.log_buf:
            import ctypes  # noqa: PLC0415

            ctypes.memmove(options.log_buf, log, len(log) + 1)
        raise KernelError("load program: Invalid argument", errno.EINVAL)

    monkeypatch.setattr("netplan_tproxy.kernel.bpf.programs.call", call)
    assert "needs bpf_sk_assign, which this Linux " in refused(host)
    monkeypatch.setattr(features, "linux_version", lambda: (5, 4))
    assert "needs Linux 5.7 (bpf_sk_assign), this is 5.4" in refused(host)


def test_a_map_the_kernel_refuses(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = MapLayout("huge", 1, 4, 4, 1 << 31)
    monkeypatch.setattr("netplan_tproxy.datapath.pinned_maps.LAYOUTS", (*MAPS, layout))
    monkeypatch.setattr("netplan_tproxy.kinds.map.maps", lambda _: (layout,))
    assert "create map huge: " in refused(host)


def test_no_libbpf(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise OSError("cannot open shared object file")

    with unchanged(host.stare), monkeypatch.context() as patch:
        libbpf.library.cache_clear()
        patch.setattr("netplan_tproxy.kernel.bpf.libbpf.ctypes.CDLL", missing)
        with pytest.raises(TproxyError, match=r"libbpf not found: apt install .*nothing was"):
            libbpf.library()
    assert not STATE.exists()


def test_no_bcc(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcc", None)
    assert "bcc not found: apt install python3-bpfcc" in refused(host)
    # Before the plan: it would not be carried out.
    assert host.apply().out == []
    assert host.apply("--dry-run").total == CHANGES


def test_the_bcc_of_pypi(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcc", sys)
    assert "bcc is another program (the one of PyPI)" in refused(host)


def test_no_clsact(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_probe, "_try_clsact", lambda: 1)
    assert "intercepting needs clsact, which this Linux " in refused(host)
    monkeypatch.setattr(features, "linux_version", lambda: (4, 4))
    said = refused(host)
    assert "intercepting needs Linux 4.5 (clsact), this is 4.4; CONFIG_NET_CLS_ACT makes it" in said


def test_a_missing_interface_is_named_with_its_place_and_what_there_is(host: Host) -> None:
    host.write("version: 1\ninterfaces:\n  wan0: {}\n  wan9: {}\nproxy: {port: 9040}\n")
    said = refused(host)
    assert f"{host.site}:4:3: interfaces.wan9: no such interface here (there is: wan0)" in said


def test_an_interface_of_a_type_that_carries_no_ip_is_refused(host: Host) -> None:
    can, tun, no_header = 280, 0x0001, 0x1000  # <linux/if_arp.h>, <linux/if_tun.h>
    set_interface, set_type = 0x400454CA, 0x400454CD
    host.write("version: 1\ninterfaces:\n  odd0: {}\nproxy: {port: 9040}\n")
    with host.namespace.entered(), Path("/dev/net/tun").open("r+b", buffering=0) as device:
        fcntl.ioctl(device, set_interface, struct.pack("16sH22x", b"odd0", tun | no_header))
        fcntl.ioctl(device, set_type, can)
        said = refused(host)
    assert f"{host.site}:3:3: interfaces.odd0: is of a type that can't be intercepted" in said


def test_an_interface_that_belongs_to_a_bridge_is_refused_and_the_bridge_named(host: Host) -> None:
    host.sh("ip link add br0 type bridge", "ip link set wan0 master br0")
    assert "interfaces.wan0: belongs to br0, which has the addresses: intercept on br0" in refused(
        host
    )


def test_a_sysctl_that_does_not_exist_is_refused(host: Host) -> None:
    host.write(host.site.read_text() + "sysctls: {net.ipv4.no_such_thing: 1}\n")
    assert "sysctl net.ipv4.no_such_thing: does not exist here" in refused(host)


def test_it_runs_from_any_directory_and_with_closed_descriptors(host: Host) -> None:
    done = host.spawn(str(host.site), prefix=("sh", "-c", 'exec "$@" 2>&- <&-', "sh"))
    assert (done.code, done.plan[-1]) == (0, f"{CHANGES - 1} to add, 1 to change, 0 to remove")
    words = ["env", f"PYTHONPATH={ROOT}", *host.popen_words(str(host.site))]
    assert host.namespace.run(words, cwd="/").stdout == "no changes\n"
