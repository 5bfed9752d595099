"""Files that are no site file at all: one clear line, at once."""

from __future__ import annotations

import fcntl
import os
import pathlib
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import load
from netplan_tproxy.site.yaml import source

if TYPE_CHECKING:
    from pathlib import Path


def _only_line(path: str | Path) -> str:
    with pytest.raises(SiteError) as caught:
        load(path)
    (line,) = map(str, caught.value.problems)
    return line.removeprefix(f"{path}")


def test_a_missing_file(tmp_path: Path) -> None:
    line = _only_line(tmp_path / "none.yaml")
    assert line == ": cannot be read: no such file or directory"


def test_a_directory(tmp_path: Path) -> None:
    assert _only_line(tmp_path) == ": is a directory, expected a regular file"


@pytest.mark.cpu_seconds(5)
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    assert _only_line(path) == ": is a pipe, expected a regular file"


@pytest.mark.cpu_seconds(5)
def test_an_endless_device() -> None:
    assert _only_line("/dev/zero") == ": is a device, expected a regular file"


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("s.yaml")
        assert _only_line("s.yaml") == ": is a socket, expected a regular file"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("version: 1\n", encoding="utf-8")

    def refuse(*_args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    line = _only_line(path)
    assert line == ": cannot be read: permission denied"


def test_a_file_over_2_mib_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(source.MAX_BYTES + 1)

    def fail(*_args: object) -> int:
        pytest.fail("opened")

    monkeypatch.setattr(os, "open", fail)
    assert _only_line(path) == ": is larger than 16 MiB, expected a few lines of YAML"


def test_a_file_whose_size_is_not_told_is_read_up_to_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "_check_kind", lambda *_arguments: None)
    assert "is larger than" in _only_line("/proc/self/pagemap")  # it is 256 GiB long


@pytest.mark.cpu_seconds(5)
@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/self/environ", "/proc/self/pagemap"])
def test_what_the_kernel_makes_up_is_not_even_opened(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reading /proc/kmsg takes lines away from the kernel's log, or waits for some.
    monkeypatch.setattr(os, "open", lambda *_arguments: pytest.fail("opened"))
    line = _only_line(path)
    assert line == ": is not stored but made by the kernel when it is read, expected a stored file"


@pytest.mark.cpu_seconds(5)
def test_a_file_that_somebody_has_a_lease_on_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "leased.yaml"
    path.write_text("version: 1\n", encoding="utf-8")
    told = signal.signal(signal.SIGIO, signal.SIG_IGN)  # how the kernel asks to give the lease up
    try:
        with path.open("r+b") as holder:
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            line = _only_line(path)
    finally:
        signal.signal(signal.SIGIO, told)
    assert line.startswith(": cannot be read: resource temporarily unavailable")


@pytest.mark.cpu_seconds(5)
def test_a_name_that_is_exchanged_for_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    regular = (tmp_path / "regular.yaml").absolute()
    regular.write_text("version: 1\n", encoding="utf-8")
    monkeypatch.setattr(pathlib.Path, "stat", lambda _path: os.stat(regular))  # noqa: PTH116
    assert _only_line(path) == ": is a pipe, expected a regular file"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ":1:1: document: is empty, expected something like"),
        (b"\xef\xbb\xbf", ":1:1: document: is empty, expected something like"),
        (b"version: 1\nsite: \xff\n", ":2:7: yaml: byte 0xff is not UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00\x00", ": is a binary file, it holds NUL bytes"),
        ("version: 1".encode("utf-16"), ": is UTF-16 text, expected UTF-8"),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "bytes.yaml"
    path.write_bytes(data)
    assert _only_line(path).startswith(expected)


def test_a_file_name_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(SiteError) as caught:
        load(tmp_path / "a\x1b[2J\nb")
    (line,) = map(str, caught.value.problems)
    assert line.isprintable()
    assert r"a\x1b[2J\nb: cannot be read" in line


def test_a_file_name_with_a_nul() -> None:
    with pytest.raises(SiteError, match="is not a file name"):
        load("a\0b")
