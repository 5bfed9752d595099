from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from tests.kernels import apt, guest, packages
from tests.kernels.packages import Kernel, Unpacked

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = Kernel("6.18", "trixie-backports")


class Suite:
    """A suite with some packages."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def named(self, pattern: str) -> list[str]:
        del pattern
        return list(self.names)


def newest(*names: str) -> str:
    return packages._newest(KERNEL, cast("apt.Apt", Suite(*names)))


def test_of_a_suites_kernels_the_newest_is_taken_by_number_and_no_special_one() -> None:
    names = [f"linux-image-6.18.{number}+deb13-amd64" for number in (9, 15, 5)]
    assert newest(*names, "linux-image-6.18.20+deb13-rt-amd64") == names[1]


def test_a_suite_without_such_a_kernel_is_named() -> None:
    with pytest.raises(apt.UnavailableError, match=r"^trixie-backports has no Linux 6\.18$"):
        newest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return apt.cache()


def test_what_could_not_be_downloaded_is_missing_with_the_reason_and_leaves_nothing(
    cache: Path,
) -> None:
    def fail(aside: Path, ready: Path) -> None:
        (aside / "half").touch()
        (ready / "half").touch()
        raise apt.UnavailableError("no route")

    with pytest.raises(apt.UnavailableError, match="nobody has fetched it"):
        packages.kept(KERNEL)
    with pytest.raises(apt.UnavailableError, match="no route"):
        apt.obtain(KERNEL.name, fail)
    with pytest.raises(apt.UnavailableError, match="no route"):
        packages.kept(KERNEL)
    assert {path.name for path in cache.iterdir()} == {"6.18.lock", "6.18.unavailable"}


def test_what_was_downloaded_once_is_kept(cache: Path) -> None:
    def fill(aside: Path, ready: Path) -> None:
        assert ready.parent == aside
        (ready / "version").write_text("6.18.15\n")

    def fail(aside: Path, ready: Path) -> None:
        raise AssertionError(aside, ready)

    assert apt.obtain(KERNEL.name, fill) == apt.obtain(KERNEL.name, fail) == cache / KERNEL.name
    assert packages.kept(KERNEL).version == "6.18.15"


def test_modules_are_loaded_after_those_that_they_need(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("6.18\n")
    unpacked = Unpacked(KERNEL, tmp_path, tmp_path)
    unpacked.modules.mkdir(parents=True)
    (unpacked.modules / "modules.dep").write_text(
        "fs/9p/9p.ko.xz: net/9p/9pnet.ko.xz fs/netfs.ko.xz\n"
        "fs/netfs.ko.xz:\n"
        "net/9p/9pnet_virtio.ko.xz: net/9p/9pnet.ko.xz virtio/virtio.ko.xz\n"
        "net/9p/9pnet.ko.xz:\n"
        "virtio/virtio.ko.xz:\n"
        "fs/overlay.ko.xz:\n"
    )
    names = [path.name.partition(".")[0] for path in guest._in_order(unpacked)]
    assert names == ["virtio", "9pnet", "9pnet_virtio", "netfs", "9p", "overlay"]
