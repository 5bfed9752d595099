"""What this kernel supports of BPF, known by trying: load something, and drop it."""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Iterable, Sequence

from netplan_tproxy.datapath import build, fastpath, layouts
from netplan_tproxy.datapath import programs as datapath
from netplan_tproxy.errors import KernelError, TproxyError
from netplan_tproxy.kernel import features
from netplan_tproxy.kernel.bpf import maps as bpf_maps
from netplan_tproxy.kernel.bpf import programs as bpf_programs
from netplan_tproxy.kernel.bpf import tcx
from netplan_tproxy.kernel.features import SCHED_CLS, Feature

_MOV_R0_0 = struct.pack("=BBhi", 0xB7, 0, 0, 0)
_EXIT = struct.pack("=BBhi", 0x95, 0, 0, 0)

_log = logging.getLogger(__name__)


def try_bpf() -> None:
    """Load a tc program that does nothing. Raises TproxyError."""
    _load(_MOV_R0_0 + _EXIT)


def missing(asked: Iterable[Feature]) -> list[Feature]:
    """Give those of the helpers that this kernel refuses to tc programs."""
    found = []
    for helper in asked:
        lacking = lacks(helper, SCHED_CLS)
        _log.debug("  bpf: helper %s: %s", helper.name, "missing" if lacking else "there")
        found += [helper] * lacking
    return found


def missing_for_fastpath() -> list[Feature]:
    """Give the helpers that this kernel refuses to the programs of the fast path."""
    types = [each.program for each in fastpath.TYPES.values()]
    return [helper for kind in types for helper in features.HELPERS[kind] if lacks(helper, kind)]


def missing_for_tcx() -> list[Feature]:
    """Give what this kernel lacks of tcx: it has all of it or nothing."""
    return [] if tcx.is_known() else [features.needed(features.TCX)]


def lacks(helper: Feature, prog_type: int) -> bool:
    """Whether this kernel refuses a helper to programs of a type."""
    call = struct.pack("=BBhi", 0x85, 0, 0, helper.number)
    try:
        _load(call + _MOV_R0_0 + _EXIT, prog_type)
    except bpf_programs.MissingHelperError:
        return True
    except TproxyError:
        pass  # of a helper that it knows the verifier misses the arguments
    return False


def _load(insns: bytes, prog_type: int = SCHED_CLS) -> None:
    bpf_programs.load_program(
        name="probe", prog_type=prog_type, insns=insns, license="GPL", relocs=(), maps={},
        quiet=True,
    ).close()  # fmt: skip


def refused_maps() -> list[str]:
    """Create each of our maps and drop it. Gives a line for each that the kernel refuses."""
    refused = []
    for layout in layouts.MAPS:
        try:
            bpf_maps.create_map(layout).close()
        except KernelError as refusal:
            refused.append(str(refusal))
    return refused


def try_programs(names: Sequence[str]) -> None:
    """Compile and load programs as an apply would, and drop them. Raises TproxyError."""
    for source in dict.fromkeys(map(datapath.source_of, names)):
        _try_source(source, [name for name in names if datapath.source_of(name) == source])


def _try_source(source: str, names: Sequence[str]) -> None:
    module = build.compile_source(build.source_of(source, names))
    used = {name: {of for _, of in module.programs[name].relocs} for name in names}
    with contextlib.ExitStack() as held:
        maps = {
            layout.name: int(held.enter_context(bpf_maps.create_map(layout)))
            for layout in (*layouts.MAPS, *fastpath.MAPS)
            if layout.name in set().union(*used.values())
        }
        for name in names:
            compiled = module.programs[name]
            build.load(name, compiled, {each: maps[each] for each in used[name]}).close()
