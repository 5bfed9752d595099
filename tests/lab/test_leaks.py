"""A leak of BPF objects is seen, and what others create is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.bpf.maps import create_map, map_info, pin
from netplan_tproxy.kernel.bpf.programs import load_program
from tests.lab.isolate import BPFFS
from tests.lab.leaks import created
from tests.lab.patience import LONG
from tests.paths import ROOT

if TYPE_CHECKING:
    from netplan_tproxy.kernel.bpf.libbpf import Fd

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SPEC = MapSpec("leak", 1, 4, 4, 1)
RETURN_0 = bytes.fromhex("b700000000000000" + "9500000000000000")
PIN = BPFFS / "leaked"
BY_OTHERS = f"""
from netplan_tproxy.kernel.bpf.maps import create_map, pin
from tests.lab.test_leaks import PIN, SPEC
pin(create_map(SPEC), {str(PIN)!r})
"""


def load() -> Fd:
    return load_program(name="leak", prog_type=3, insns=RETURN_0, license="GPL", relocs=(), maps={})


def test_what_is_held_is_a_leak_until_it_is_let_go() -> None:
    with created() as objects:
        number = map_info(held := create_map(SPEC)).id
        program = load()
        kinds = [kind for kind, _ in sorted(objects.left(seconds=0))]
        assert kinds == ["map", "prog"]
        program.close()
        assert ("map", number) in objects.left(seconds=0)
        held.close()
        assert objects.left() == set()


def test_what_a_killed_fork_has_pinned_is_a_leak() -> None:
    with created() as objects:
        child = os.fork()
        if child == 0:
            try:
                pin(create_map(SPEC), str(PIN))
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert [kind for kind, _ in objects.left(seconds=0)] == ["map"]
        PIN.unlink()
        assert objects.left() == set()


def test_what_others_create_and_keep_is_no_leak() -> None:
    with created() as objects:
        subprocess.run([sys.executable, "-c", BY_OTHERS], check=True, cwd=ROOT, timeout=LONG)
        assert PIN.exists()
        assert objects.left(seconds=0) == set()
    PIN.unlink()
