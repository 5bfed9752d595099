"""Programs that were compiled once in a session of tests are not compiled again in it.

The compiler takes most of an apply's CPU time, and a session applies some thousand times. What
the tests run in processes of their own goes the same way, by ``tests/tools/program.py``; what
they run as the installed command compiles.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from netplan_tproxy.kernel.bpf import compiler
from netplan_tproxy.kernel.bpf.compiled import Module

FOLDER = "TPROXY_TESTS_COMPILED"


def begin() -> None:
    """Keep what is compiled from now on, here and in processes started from here."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="tproxy-compiled-")


def end() -> None:
    """Forget it."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def keep() -> None:
    """Use in this process what the session has; what is not there yet is compiled."""
    compile_anew = compiler._compile.__wrapped__

    @cache
    def compile_once(
        source: str, headers: str, defines: tuple[tuple[str, str], ...], names: tuple[str, ...]
    ) -> Module:
        said = (source, headers, defines, names)
        if FOLDER not in os.environ or not _has_compiler():
            return compile_anew(*said)
        place = Path(os.environ[FOLDER]) / hashlib.sha256(repr(said).encode()).hexdigest()
        try:
            known: Module = pickle.loads(place.read_bytes())  # noqa: S301 - our own
        except (OSError, EOFError, pickle.UnpicklingError):
            known = compile_anew(*said)
            _write(place, pickle.dumps(known))
        return known

    compiler._compile = compile_once


def _has_compiler() -> bool:
    """A test may have taken BCC's module away, or put another one in its place."""
    return "bcc" not in sys.modules or hasattr(sys.modules["bcc"], "BPF")


def _write(place: Path, data: bytes) -> None:
    aside = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        aside.write_bytes(data)
        aside.rename(place)
    except OSError:
        return  # a process that may not write there, or a machine made sick: it goes on without
