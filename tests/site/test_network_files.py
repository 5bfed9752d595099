"""``to_files``: where they are looked for, what they cost, what is wrong with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.errors import SiteError
from netplan_tproxy.output.document import errors_of
from netplan_tproxy.site.load import load
from netplan_tproxy.site.sections import listed_files
from netplan_tproxy.site.sections.listed_files import SHOWN_LINES
from tests.lab.effort import is_done_within

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = "version: 1\ninterfaces: {wan0: {}}\nproxy: {port: 9040}\n"


def _site(folder: Path, names: str, section: str = "bypass") -> Path:
    path = folder / "site.yaml"
    path.write_text(f"{_HEAD}{section}:\n  to_files: [{names}]\n", encoding="utf-8")
    return path


def _problems(path: Path) -> list[str]:
    with pytest.raises(SiteError) as caught:
        load(path)
    return list(map(str, caught.value.problems))


@pytest.mark.cpu_seconds(20)
def test_100_000_networks_load_in_two_seconds(tmp_path: Path) -> None:
    # Every second /24 and /48, so that none can be merged.
    v4 = [f"{10 + (n >> 15)}.{n >> 7 & 255}.{n << 1 & 255}.0/24" for n in range(60_000)]
    v6 = [f"2001:{n >> 8:x}:{(n & 255) << 1:x}::/48" for n in range(40_000)]
    (tmp_path / "large.txt").write_text("\n".join([*v4, *v6]), encoding="ascii")
    path = _site(tmp_path, "large.txt")
    load(path)  # what is imported and cached once is not the question
    assert is_done_within(2, lambda: load(path))
    assert len(set(load(path).policy.bypass_to)) == 100_000


@pytest.mark.cpu_seconds(20)
def test_100_000_networks_that_are_one(tmp_path: Path) -> None:
    hosts = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(1 << 17))
    (tmp_path / "large.txt").write_text("".join(reversed(list(hosts))), encoding="ascii")
    assert load(_site(tmp_path, "large.txt")).policy.bypass_to == (
        (96 + 15, bytes(10) + b"\xff\xff\x0a\x00\x00\x00"),
    )


def test_a_path_is_relative_to_the_site_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.txt").write_text("192.0.2.0/24\n", encoding="ascii")
    path = _site(tmp_path, "lists/a.txt")
    monkeypatch.chdir("/")
    assert len(load(path).policy.bypass_to) == 1
    absolute = _site(tmp_path, f"{tmp_path}/lists/a.txt")
    assert len(load(absolute).policy.bypass_to) == 1


def test_a_line_is_named_by_a_path_that_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.txt").write_text("10.0.0.0/8\nwrong\n", encoding="ascii")
    _site(tmp_path / "conf", "a.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SiteError) as caught:
        load("conf/site.yaml")
    (line,) = map(str, caught.value.problems)
    assert line.startswith("conf/a.txt:2: is not a network")


@pytest.mark.cpu_seconds(5)
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (line,) = _problems(_site(tmp_path, "pipe"))
    assert line.endswith("pipe: is a pipe, expected a regular file")
    assert line.startswith(f"{tmp_path}/site.yaml:5:14: bypass.to_files[0]: ")


def test_a_file_over_16_mib_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(listed_files.MAX_BYTES + 1)
    (line,) = _problems(_site(tmp_path, "large.txt"))
    assert line.endswith("is larger than 16 MiB, expected one network a line")


@pytest.mark.cpu_seconds(20)
def test_of_many_wrong_lines_the_first_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("<html>\n" * 50_000, encoding="ascii")
    lines = _problems(_site(tmp_path, "page.txt"))
    assert len(lines) == SHOWN_LINES + 1
    assert f" {50_000 - SHOWN_LINES} more lines are wrong" in lines[-1]


def test_a_wrong_line_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\x1b[2J\x9b\xff" + b"x" * 10_000)
    (line,) = _problems(_site(tmp_path, "a.txt"))
    assert line.isprintable()
    assert len(line) < len(str(tmp_path)) + 200


def test_lines_end_where_an_editor_ends_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("10.0.0.0/8 # a\x0bb\u2028c\x85d\r\n\x0cwrong\n".encode())
    (line,) = _problems(_site(tmp_path, "a.txt"))
    assert line.startswith(f"{tmp_path}/a.txt:2: is not a network")


def test_networks_of_the_list_and_of_the_files_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("10.0.0.0/9\n", encoding="ascii")
    (tmp_path / "b.txt").write_text("192.0.2.0/24\n", encoding="ascii")
    path = _site(tmp_path, "a.txt, b.txt", "intercept")
    with path.open("a", encoding="utf-8") as file:
        file.write("  to: [10.128.0.0/9]\n")
    networks = load(path).policy.intercept_to
    assert networks is not None
    assert [length for length, _ in networks] == [96 + 8, 96 + 24]


def test_an_empty_file_names_nothing_to_leave_alone_but_cannot_be_all_there_is_to_intercept(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty.txt").touch()
    assert load(_site(tmp_path, "empty.txt")).policy.bypass_to == ()
    (line,) = _problems(_site(tmp_path, "empty.txt", "intercept"))
    assert "nothing would be intercepted" in line


@pytest.mark.cpu_seconds(20)
def test_of_a_file_that_is_wrong_all_through_the_end_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed_files, "MOST_WRONG_LINES", 100)
    (tmp_path / "page.txt").write_text("<html>\n" * 1000, encoding="ascii")
    lines = _problems(_site(tmp_path, "page.txt"))
    assert f" at least {100 - SHOWN_LINES} more lines are wrong" in lines[-1]


def test_files_that_are_too_much_together_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed_files, "MAX_TOTAL_BYTES", 3 * 11)
    for name in "abcde":
        (tmp_path / name).write_text("10.0.0.0/8\n", encoding="ascii")
    assert load(_site(tmp_path, "a, b, c")).policy.bypass_to
    (tmp_path / "e").unlink()
    fourth, fifth = _problems(_site(tmp_path, "a, b, c, d, e"))
    for path, line in (("d", fourth), ("e", fifth)):
        assert f"/{path}: makes more than " in line
        assert "with the files before it" in line


@pytest.mark.cpu_seconds(5)
@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/proc/kmsg", "is not stored but made by the kernel when it is read"),
        ("/dev/zero", "is a device"),
        ("/", "is a directory"),
    ],
)
def test_what_is_no_file_is_refused_unread(tmp_path: Path, path: str, what: str) -> None:
    (line,) = _problems(_site(tmp_path, path))
    assert f": bypass.to_files[0]: {path}: {what}, expected " in line


@pytest.mark.parametrize("section", ["intercept", "bypass"])
def test_nothing_of_what_is_in_a_file_is_shown(tmp_path: Path, section: str) -> None:
    secrets = [
        "toor:$y$j9T$F5:19000:0:99999:7:::",
        "192.0.2.77/24",
        "::ffff:198.51.100.7",
        "s3cret",
    ]
    (tmp_path / "shadow").write_text("\n".join(secrets), encoding="ascii")
    with pytest.raises(SiteError) as caught:
        load(_site(tmp_path, "shadow", section))
    error = caught.value
    assert [problem.inside and problem.inside.line for problem in error.problems] == [1, 2, 3, 4]
    shown = f"{error}{error.problems}{errors_of(error)}"
    assert not [word for word in ("toor", "y$j9T", "192.0.2", "198.51", "s3cret") if word in shown]
