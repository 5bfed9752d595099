"""What a test has created in the kernel's BPF and not let go of.

Others load programs while the tests run, on any machine that systemd runs on. So it is not
counted what the kernel holds: what this process and its forks create is written down, and
looked for later. An id is not given again before two thousand million others were.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netplan_tproxy.kernel.bpf.libbpf import library
from tests.lab.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.host import Host

_CREATING = {"bpf_prog_load": "prog", "bpf_map_create": "map", "bpf_link_create": "link"}
_KINDS = tuple(_CREATING.values())
_ID = struct.Struct("=4xI")  # of struct bpf_prog_info, bpf_map_info and bpf_link_info
_ENTRY = struct.Struct("=BI")


class Objects:
    """The BPF objects that were created since."""

    def __init__(self) -> None:
        # Appending to one file, so that a fork that is killed has written down its own.
        self._log = tempfile.TemporaryFile("ab+", buffering=0)  # noqa: SIM115 - closed in close()

    def close(self) -> None:
        self._log.close()

    def watched(self, function: str) -> Callable[..., int]:
        """The function of libbpf, which writes down what it creates."""
        kind = _CREATING[function]
        create: Callable[..., int] = getattr(library(), function)

        def creating(*arguments: Any) -> int:
            fd = create(*arguments)
            if fd >= 0:
                os.write(self._log.fileno(), _ENTRY.pack(_KINDS.index(kind), _id(fd)))
            return fd

        return creating

    def alive(self) -> set[tuple[str, int]]:
        """Those that the kernel still holds, with their ids."""
        self._log.seek(0)
        entries = {(_KINDS[kind], number) for kind, number in _ENTRY.iter_unpack(self._log.read())}
        return {entry for entry in entries if _exists(*entry)}

    def left(self, seconds: float = PATIENCE) -> set[tuple[str, int]]:
        """The same; the kernel frees programs and maps a moment late."""
        deadline = time.monotonic() + seconds
        while (found := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found


def _id(fd: int) -> int:
    buffer = ctypes.create_string_buffer(256)
    size = ctypes.c_uint32(len(buffer))
    assert library().bpf_obj_get_info_by_fd(fd, buffer, ctypes.byref(size)) == 0
    number: int = _ID.unpack_from(buffer.raw)[0]
    return number


def _exists(kind: str, number: int) -> bool:
    fd = getattr(library(), f"bpf_{kind}_get_fd_by_id")(ctypes.c_uint32(number))
    if fd >= 0:
        os.close(fd)
    return bool(fd >= 0)


@contextlib.contextmanager
def created() -> Iterator[Objects]:
    """What this process, and its forks, create of BPF meanwhile."""
    with contextlib.closing(Objects()) as objects, pytest.MonkeyPatch.context() as patch:
        for function in _CREATING:
            patch.setattr(library(), function, objects.watched(function))
        yield objects


def descriptors() -> int:
    """How many file descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.contextmanager
def nothing_left(host: Host) -> Iterator[Host]:
    """A host of which nothing is left by the end, in the kernel or in this process.

    Its site file is applied once before: what is cached on the first use counts as no leak.
    """
    host.applied()
    host.destroyed()
    open_files, before = descriptors(), host.look()
    with created() as objects:
        yield host
        host.run("--destroy")
        assert not host.state.exists()  # others may have left theirs
        assert not host.pins.exists()
        assert host.look() == before
        assert objects.left() == set()
    assert descriptors() == open_files
