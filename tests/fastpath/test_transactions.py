"""The fast path comes and goes as everything else does: wholly or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.datapath import fastpath
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.datapath.attach import cgroup as attach_cgroup
from netplan_tproxy.datapath.attach import sockmap
from netplan_tproxy.datapath.host import Kernel
from netplan_tproxy.kernel.bpf import attach, btf
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf.compiler import compile_programs
from netplan_tproxy.kernel.bpf.libbpf import Fd, library
from tests.fastpath.support import fast
from tests.lab.host import SITE, Host
from tests.lab.leaks import nothing_left
from tests.lab.sabotage import killed, later_version, raising, refusal, sabotaged, this_version
from tests.transactions.every_kind.support import same, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SCENES = ["on", "off", "another cgroup and budget", "other programs"]


@pytest.fixture
def machine(lab: Lab, tmp_path: Path, cgroup: Path) -> Iterator[Host]:
    """Nothing is left of it, in the kernel or in this process."""
    made = Host(lab, tmp_path)
    made.write(SITE + fast(cgroup))
    with nothing_left(made):
        yield made


@pytest.fixture(params=SCENES)
def old_and_new(
    request: pytest.FixtureRequest,
    machine: Host,
    cgroup: Path,
    other_cgroup: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[str, str]]:
    """The old site file is applied, the new one is written."""
    on, off = SITE + fast(cgroup), SITE
    old, new = {
        "on": (off, on),
        "off": (on, off),
        "another cgroup and budget": (on, SITE + fast(other_cgroup, ", budget: 8KiB, ports: [80]")),
        "other programs": (on, on),
    }[request.param]
    machine.write(old)
    machine.applied()
    machine.write(new)
    if request.param == "other programs":
        later_version(monkeypatch)
    yield old, new
    monkeypatch.undo()
    this_version()


def test_a_failure_at_any_step_is_undone(
    machine: Host, old_and_new: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del old_and_new
    arguments = [str(machine.site)]
    before = machine.stare()
    changes = steps(machine, *arguments)
    assert changes >= 3
    for step in range(changes):
        for done in (False, True):
            with sabotaged(monkeypatch, raising(refusal()), step, done=done):
                ran = machine.run(*arguments)
            assert (step, ran.code) == (step, 3)
            same(before, machine.stare(), (step, done))
    machine.applied()
    assert machine.applied().out == ["no changes"]


def test_killed_at_any_step_either_file_goes_on(
    machine: Host, old_and_new: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = old_and_new
    arguments = [str(machine.site)]
    seen = {old: machine.look()}
    changes = steps(machine, *arguments)
    machine.applied()
    seen[new] = machine.look()
    for step in range(changes if old != new else 0):
        machine.write(old)
        machine.applied()
        machine.write(new)
        killed(machine, monkeypatch, *arguments, at=step, done=bool(step % 2))
        text = (old, new)[step // 2 % 2]
        machine.write(text)
        machine.applied()
        assert machine.applied().out == ["no changes"]
        same(seen[text], machine.look(), step)


def test_drift_of_each_part_is_shown_and_repaired(machine: Host, cgroup: Path) -> None:
    machine.write(SITE + fast(cgroup))
    machine.applied()
    good = machine.look()
    for part, gone in {
        "sockops on cgroup": detach_sockops,
        "verdict on map socks": detach_verdict,
        "fast path": forget_config,
        "program fast_msg": unpin_msg,
    }.items():
        gone(machine, cgroup)
        shown = machine.apply("--dry-run", "-v")
        assert [line for line in shown.changes if part in line], (part, shown)
        assert machine.apply("--check").code == 2
        machine.applied()
        assert machine.applied().out == ["no changes"]
        same(good, machine.look(), part)


def detach_sockops(machine: Host, cgroup: Path) -> None:
    with machine.namespace.entered(), Kernel() as kernel:
        name = f"/{cgroup.name}"
        with kernel.snapshot() as seen:
            pin, number = seen.sockops({name})[name]
        attach_cgroup.remove(name, kernel.bpf.attached.fd(pin, number))


def detach_verdict(machine: Host, cgroup: Path) -> None:
    del cgroup
    with machine.namespace.entered(), Kernel() as kernel:
        program = kernel.bpf.attached.fd(datapath.pin_of(fastpath.MSG), 0)
        sockmap.remove(kernel.bpf.maps.fd(fastpath.SOCKS.pin), program)


def forget_config(machine: Host, cgroup: Path) -> None:
    del cgroup
    with machine.namespace.entered(), Kernel() as kernel:
        kernel.bpf.maps.write_entry(fastpath.CONFIG.pin, bytes(4), bytes(16))


def unpin_msg(machine: Host, cgroup: Path) -> None:
    del cgroup
    machine.pin("programs", "fast_msg").unlink()


def test_programs_of_others_on_the_cgroup_stay(machine: Host, cgroup: Path) -> None:
    module = compile_programs(
        "int theirs(struct bpf_sock_ops *ops) { return 1; }",
        headers=str(datapath.bpf_directory() / "kbuild"),
        defines={},
        functions=["theirs"],
    )
    theirs = bpf_programs.load_program(
        name="theirs", prog_type=13, insns=module.programs["theirs"].insns, license="GPL",
        relocs=(), maps={}, expected_attach_type=3,
    )  # fmt: skip
    number = bpf_programs.prog_info(theirs).id
    attach_cgroup.put(f"/{cgroup.name}", int(theirs), None)
    try:
        machine.write(SITE + fast(cgroup))
        machine.applied()
        assert on_cgroup(cgroup) > {number}
        assert len(on_cgroup(cgroup)) == 2
        machine.destroyed()
        assert on_cgroup(cgroup) == {number}
    finally:
        attach_cgroup.remove(f"/{cgroup.name}", int(theirs))
        theirs.close()


def on_cgroup(cgroup: Path) -> set[int]:
    with Fd(os.open(cgroup, os.O_RDONLY)) as target:
        return set(attach.query(target, fastpath.TYPES[fastpath.SOCKOPS].attach))


def test_a_cgroup_that_does_not_exist_is_named_with_its_place(machine: Host) -> None:
    machine.write(SITE + "fastpath:\n  enabled: true\n  cgroup: /no/such\n")
    done = machine.apply()
    assert done.code == 65
    where = "site.yaml:7:3: fastpath.cgroup: no cgroup '/no/such' here; nothing was touched"
    assert done.err.strip().endswith(where)


def test_a_kernel_without_type_information_is_refused(
    machine: Host, cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.write(SITE + fast(cgroup))
    before = machine.stare()
    btf.rmem_alloc_offset.cache_clear()
    monkeypatch.setattr(btf, "_kept", [])
    monkeypatch.setattr(library(), "btf__load_vmlinux_btf", Absent())
    done = machine.apply()
    monkeypatch.undo()
    btf.rmem_alloc_offset.cache_clear()
    assert done.code == 1
    assert done.err.startswith("tproxy-apply: fastpath: this kernel has no BTF")
    assert done.err.endswith("; nothing was touched\n")
    same(before, machine.stare(), "no BTF")


class Absent:
    """A function that finds nothing."""

    restype: object = None

    def __call__(self) -> None:
        return None
