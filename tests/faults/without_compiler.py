"""``tproxy-apply``, but for its compiler: that one's answers are read from files beside this one.

LLVM takes most of a run that loads programs. This is copied to a folder of its own and run there
(``compiled.py``); what it does before and after is what the installed command does, call by
call, so it imports what the installed script does, and no more.
"""

import marshal
import re  # noqa: F401 - the installed script imports it
import sys
from types import ModuleType, SimpleNamespace


def compile_programs(
    source: str, *, headers: str, defines: "dict[str, str]", functions: "list[str]"
) -> object:
    """Give what the compiler said to the same question before."""
    import hashlib  # noqa: PLC0415 - the command has it by now

    asked = repr([source, headers, sorted(defines.items()), sorted(functions)])
    name = hashlib.sha256(asked.encode()).hexdigest()
    with open(f"{sys.path[0]}/{name}", "rb") as file:  # noqa: PTH123 - it needs no pathlib
        programs = marshal.load(file)  # noqa: S302 - our own
    parts = {
        key: SimpleNamespace(insns=insns, relocs=relocs)
        for key, (insns, relocs) in programs.items()
    }
    return SimpleNamespace(programs=parts)


def require_bcc() -> None:
    """There is no need of it."""


if __name__ == "__main__":
    stand_in = ModuleType("netplan_tproxy.kernel.bpf.compiler")
    vars(stand_in).update(compile_programs=compile_programs, require_bcc=require_bcc)
    sys.modules[stand_in.__name__] = stand_in
    from netplan_tproxy.cli.entry import run

    run()
