"""A system call filter like the one that a service manager makes of SystemCallFilter=."""

from __future__ import annotations

import ctypes
import errno
import platform
import re
import socket
import struct
import subprocess
from pathlib import Path

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
_HEADER = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}[platform.machine()]
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # struct seccomp_data
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_NEW_NAMESPACE = 0x7E020000
_PR_SET_SECCOMP, _FILTER = 22, 2

Instruction = tuple[int, int, int, int]


def numbers() -> dict[str, int]:
    text = Path(_HEADER).read_text()
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    return {name: int(number) for name, number in found}


def members(group: str) -> set[str]:
    """The calls of one of systemd's groups, of the groups in it too."""
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    found: set[str] = set()
    for line in done.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= members(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def allowed_calls(words: list[str]) -> set[str]:
    """What is left of a list of groups and calls; those behind ``~`` are taken away."""
    found: set[str] = set()
    away = False
    for word in words:
        away = word.startswith("~") or (away and word.startswith("@"))
        name = word.lstrip("~")
        calls = members(name) if name.startswith("@") else {name}
        found = found - calls if away else found | calls
    return found | members("@default")


def _refuse(code: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _program(calls: set[str], families: list[str]) -> list[Instruction]:
    known = numbers()
    allow: Instruction = (_RETURN, 0, 0, _ALLOW)
    made: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _ARCH), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]  # fmt: skip
    # As RestrictNamespaces=yes has it; clone3's flags can't be seen, so libc must fall back.
    for name, code in (("unshare", errno.EPERM), ("setns", errno.EPERM), ("clone3", errno.ENOSYS)):
        made += [(_EQUAL, 0, 1, known[name]), _refuse(code)]
    made += [(_EQUAL, 0, 4, known["clone"]), (_LOAD, 0, 0, _FIRST_ARGUMENT),
             (_ANY_BIT, 0, 1, _NEW_NAMESPACE), _refuse(errno.EPERM), allow]  # fmt: skip
    sockets: list[Instruction] = [(_LOAD, 0, 0, _FIRST_ARGUMENT)]
    for family in families:
        sockets += [(_EQUAL, 0, 1, getattr(socket, family)), allow]
    sockets += [_refuse(errno.EAFNOSUPPORT)]
    made += [(_EQUAL, 0, len(sockets), known["socket"]), *sockets]
    for name in sorted(calls & known.keys() - {"socket", "clone", "clone3", "unshare", "setns"}):
        made += [(_EQUAL, 0, 1, known[name]), allow]
    return [*made, _refuse(errno.EPERM)]


def install(calls: set[str], families: list[str]) -> None:
    """Put it on this process, for good; takes CAP_SYS_ADMIN."""
    program = _program(calls, families)
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "system call filter")
