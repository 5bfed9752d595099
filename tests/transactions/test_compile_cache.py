"""What was compiled before serves again, if it fits exactly and nobody else could write it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplan_tproxy.datapath import build
from netplan_tproxy.datapath.compile_cache import CompileCache, Source
from netplan_tproxy.kernel.bpf import compiler, toolchain
from netplan_tproxy.kernel.bpf.compiled import Compiled, from_bytes, to_bytes
from netplan_tproxy.paths import DEFAULT_CACHE
from netplan_tproxy.system.cache import MOST, Cache
from tests.lab import compiled, diff_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
FOLDER = Path(DEFAULT_CACHE)
PROGRAMS = {"p": Compiled(b"\x95" + bytes(7), ((0, "map"),))}


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A lab's own /var/cache, without what other tests compiled."""
    monkeypatch.delenv(compiled.FOLDER)
    compiler._compile.cache_clear()
    shutil.rmtree(FOLDER, ignore_errors=True)
    yield
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each time that something is compiled."""
    compile_source, counted = build.compile_source, []

    def counting(source: Source) -> object:
        counted.append(1)
        return compile_source(source)

    monkeypatch.setattr(build, "compile_source", counting)
    return counted


def test_the_second_apply_compiles_nothing_and_puts_the_same_there(
    host: Host, compilations: list[int]
) -> None:
    host.applied()
    first = host.look()
    host.destroyed()
    assert len(compilations) == 1
    host.applied()
    assert len(compilations) == 1
    assert diff_snapshots(first, host.look()) == []
    host.destroyed()
    assert host.apply("--no-cache").code == 0
    assert len(compilations) == 2
    host.destroyed()


def test_a_host_without_bcc_applies_what_was_compiled_before(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.applied()
    host.destroyed()
    monkeypatch.setattr(toolchain, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "bcc", None)
    assert host.apply("--no-cache").err.startswith("tproxy-apply: bcc not found")
    assert host.apply("--check").code == 2
    host.applied()
    host.destroyed()
    shutil.rmtree(FOLDER)
    for done in (host.apply("--check"), host.apply()):
        assert done.code == 1
        assert done.err.startswith("tproxy-apply: bcc not found")


def spoil_a_bit(entry: Path) -> None:
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(data)


def cut_short(entry: Path) -> None:
    os.truncate(entry, entry.stat().st_size // 2)


def let_others_write(entry: Path) -> None:
    entry.chmod(0o622)


def give_away(entry: Path) -> None:
    os.chown(entry, 12345, 0)


def put_a_link(entry: Path) -> None:
    aside = entry.rename(entry.parent.parent / "aside")
    entry.symlink_to(aside)


def put_another_source_there(entry: Path) -> None:
    Cache(DEFAULT_CACHE).write("another", to_bytes(PROGRAMS, toolchain.compiler_here()))
    (entry.parent / "another").rename(entry)


def compile_with_another_bcc(entry: Path) -> None:
    data = Cache(DEFAULT_CACHE).read(entry.name)
    assert data is not None
    Cache(DEFAULT_CACHE).write(entry.name, to_bytes(from_bytes(data)[0], "bcc of yesterday"))


def put_nonsense(entry: Path) -> None:
    Cache(DEFAULT_CACHE).write(entry.name, b'{"programs": [], "compiler": 1}')


def let_others_into_the_folder(entry: Path) -> None:
    entry.parent.chmod(0o777)


def put_a_pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


SPOILT = (
    spoil_a_bit, cut_short, let_others_write, give_away, put_a_link, put_another_source_there,
    compile_with_another_bcc, put_nonsense, let_others_into_the_folder, put_a_pipe,
)  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda one: one.__name__)
def test_what_is_not_surely_ours_and_whole_is_not_there(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    source = Source("text", tmp_path, {}, ["p"])
    cache = CompileCache(DEFAULT_CACHE)
    cache.keep(source, PROGRAMS)
    known = cache.known(source)
    assert known is not None
    assert known.programs == PROGRAMS
    spoil(FOLDER / source.key)
    assert cache.known(source) is None
    FOLDER.chmod(0o700)
    cache.keep(source, PROGRAMS)
    assert cache.known(source) == known


def test_a_damaged_entry_is_compiled_anew(host: Host, compilations: list[int]) -> None:
    host.applied()
    first = host.look()
    host.destroyed()
    (entry,) = FOLDER.iterdir()
    spoil_a_bit(entry)
    host.applied()
    assert len(compilations) == 2
    assert diff_snapshots(first, host.look()) == []
    host.destroyed()


def test_a_place_that_cannot_be_written_to_costs_only_time(
    host: Host, compilations: list[int]
) -> None:
    FOLDER.write_text("no folder")
    for _ in range(2):
        host.applied()
        host.destroyed()
    assert len(compilations) == 2
    FOLDER.unlink()


def test_any_other_input_is_another_entry(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.mkdir()
    (headers / "a.h").write_text("1")
    more = tmp_path / "more"
    shutil.copytree(headers, more)
    (more / "a.h").write_text("2")
    source = Source("text", headers, {"A": "1"}, ["f"])
    others = [
        dataclasses.replace(source, text="other"),
        dataclasses.replace(source, headers=more),
        dataclasses.replace(source, defines={"A": "2"}),
        dataclasses.replace(source, functions=["g"]),
    ]
    assert len({one.key for one in (source, *others)}) == 5
    cache = CompileCache(str(tmp_path / "kept"))
    cache.keep(source, {"f": PROGRAMS["p"]})
    assert cache.known(source) is not None
    assert [cache.known(one) for one in others] == [None] * 4


def test_the_oldest_entries_go(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "kept"))
    names = [f"{number:03}" for number in range(MOST + 3)]
    for age, name in enumerate(names):
        cache.write(name, b"entry")
        os.utime(tmp_path / "kept" / name, (age, age))
    left_by_a_killed_run = tmp_path / "kept" / ".000.1"
    left_by_a_killed_run.touch()
    cache.write("last", b"entry")
    assert sorted(one.name for one in (tmp_path / "kept").iterdir()) == sorted(
        [*names[-(MOST - 1) :], "last"]
    )


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.builds(
            Compiled,
            st.binary(),
            st.lists(st.tuples(st.integers(0, 9), st.text())).map(tuple),
        ),
    ),
    st.text(),
)
def test_what_is_written_down_is_read_back(programs: dict[str, Compiled], name: str) -> None:
    assert from_bytes(to_bytes(programs, name)) == (programs, name)


@given(st.binary() | st.sampled_from([b"[]", b'{"programs": {"p": 1}, "compiler": ""}', b"null"]))
def test_nonsense_is_no_program(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_bytes(data)
