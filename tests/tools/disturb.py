"""A program that makes a nuisance of itself in the kernel's BPF, for so many seconds.

    python -m tests.tools.disturb SECONDS

It loads and drops maps and programs and attaches sockops to the root cgroup, all the time. It
touches nothing of anybody's, and leaves nothing behind.
"""

from __future__ import annotations

import itertools
import os
import sys
import time

from netplan_tproxy.kernel.bpf import attach
from netplan_tproxy.kernel.bpf.layout import MapSpec
from netplan_tproxy.kernel.bpf.libbpf import Fd
from netplan_tproxy.kernel.bpf.maps import create_map
from netplan_tproxy.kernel.bpf.programs import load_program
from tests.lab import cgroups

SOCK_OPS = 3  # enum bpf_attach_type
PROG_SCHED_CLS, PROG_SOCK_OPS = 3, 13
RETURN_1 = bytes.fromhex("b700000001000000" + "9500000000000000")
_HASH = 1
_PAUSE = 0.05  # so that it disturbs, and does not take the machine


def load(kind: int) -> Fd:
    return load_program(
        name="disturbing", prog_type=kind, insns=RETURN_1, license="GPL", relocs=(), maps={}
    )


def once(root: Fd, number: int) -> None:
    """Come and go: a few objects, held for a while, and one more program on the root cgroup."""
    maps = [create_map(MapSpec(f"disturb{number % 100}", _HASH, 8, 8, 16)) for _ in range(3)]
    with load(PROG_SCHED_CLS), load(PROG_SOCK_OPS) as program:
        attach.attach(int(program), root, SOCK_OPS, attach.ALLOW_MULTI, None)
        try:
            time.sleep(_PAUSE)
        finally:
            attach.detach(int(program), root, SOCK_OPS)
    for each in maps:
        each.close()


def main(seconds: float) -> int:
    roots = cgroups.roots()
    if not roots:
        sys.exit("no cgroup2 is mounted")
    end = time.monotonic() + seconds
    with Fd(os.open(roots[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        for number in itertools.count():
            if time.monotonic() > end:
                return number
            once(root, number)
    raise AssertionError


if __name__ == "__main__":
    print(f"came and went {main(float(sys.argv[1]))} times")
