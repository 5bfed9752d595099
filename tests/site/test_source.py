"""Files that are no site file at all: one clear line, at once."""

from __future__ import annotations

import os
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
    assert line == ": cannot be read, no such file or directory, would be a readable site file"


def test_a_directory(tmp_path: Path) -> None:
    assert _only_line(tmp_path) == ": is a directory, would be a regular file"


@pytest.mark.timeout(5)
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    assert _only_line(path) == ": is a pipe, would be a regular file"


@pytest.mark.timeout(5)
def test_an_endless_device() -> None:
    assert _only_line("/dev/zero") == ": is a device, would be a regular file"


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("s.yaml")
        assert _only_line("s.yaml") == ": is a socket, would be a regular file"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("version: 1\n", encoding="utf-8")

    def refuse(*_args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    line = _only_line(path)
    assert line == ": cannot be read, permission denied, would be a readable site file"


def test_a_file_over_16_mib_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(source.MAX_BYTES + 1)

    def fail(*_args: object) -> int:
        pytest.fail("opened")

    monkeypatch.setattr(os, "open", fail)
    assert _only_line(path) == ": is larger than 16 MiB, would be a few lines of YAML"


def test_a_file_whose_size_is_not_told_is_read_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * 101)
    monkeypatch.setattr(source, "MAX_BYTES", 100)
    monkeypatch.setattr(source, "_check_regular", lambda _status: None)
    assert "is larger than" in _only_line(path)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ":1:1: document: is empty, would be such as"),
        (b"\xef\xbb\xbf", ":1:1: document: is empty, would be such as"),
        (b"version: 1\nsite: \xff\n", ":2:7: yaml: byte 0xff is not UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00\x00", ": is a binary file, it holds NUL bytes"),
        ("version: 1".encode("utf-16"), ": is UTF-16 text, would be UTF-8"),
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
    with pytest.raises(SiteError, match="is no file name"):
        load("a\0b")
