"""A step that fails, in whatever run and at whatever step: everything is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.budget import some
from tests.lab.sabotage import later_version, raising, refusal, sabotaged, this_version
from tests.lab.tcx import WAYS
from tests.transactions.every_kind.support import NEW, OLD, same, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def first(host: Host) -> list[str]:
    return [str(host.site)]


def other_file(host: Host) -> list[str]:
    host.applied()
    host.write(NEW)
    return [str(host.site)]


def destroy(host: Host) -> list[str]:
    host.applied()
    return ["--destroy"]


SCENES: dict[str, Callable[[Host], list[str]]] = {
    "first apply": first,
    "another file": other_file,
    "destroy": destroy,
}


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    yield lambda: later_version(monkeypatch)
    monkeypatch.undo()
    this_version()


def fail_everywhere(host: Host, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    changes = steps(host, *arguments)
    assert changes > 5
    before = host.stare()
    for turn, step in enumerate(some(range(changes))):
        with sabotaged(monkeypatch, raising(refusal()), step, done=bool(turn % 2)):
            ran = host.run(*arguments)
        said = "tproxy-apply: the kernel says no; everything was put back\n"
        assert (step, ran.code, ran.err) == (step, 3, said)
        same(before, host.stare(), step)


@pytest.mark.parametrize("scene", SCENES)
def test_a_failure_at_any_step_is_undone(
    host: Host, monkeypatch: pytest.MonkeyPatch, scene: str
) -> None:
    arguments = SCENES[scene](host)
    fail_everywhere(host, monkeypatch, arguments)
    assert host.run(*arguments).code == 0


@pytest.mark.parametrize("attach", WAYS)
def test_a_failure_at_any_step_of_an_upgrade_of_the_programs_is_undone(
    host: Host, monkeypatch: pytest.MonkeyPatch, later: Callable[[], None], attach: str
) -> None:
    host.write(f"{OLD}attach: {attach}\n")
    host.applied()
    later()
    fail_everywhere(host, monkeypatch, [str(host.site)])
    host.applied()
    assert host.applied().out == ["no changes"]


@pytest.mark.parametrize("scene", ["another file", "destroy"])
def test_a_failure_at_any_step_of_the_way_back_is_named_and_the_next_run_mends_it(
    host: Host, monkeypatch: pytest.MonkeyPatch, scene: str
) -> None:
    arguments = SCENES[scene](host)
    text = host.site.read_text()
    changes = steps(host, *arguments)
    host.write(OLD)
    host.applied()
    before = host.look()
    for back in some(range(changes)):
        host.write(text)
        with sabotaged(monkeypatch, raising(refusal()), changes - 1, changes + back):
            ran = host.run(*arguments)
        assert ran.code in {3, 4}, (back, ran)
        if ran.code == 4:
            assert "the kernel says no; could not put back: " in ran.err
        else:  # the change that was not undone had not been made, or is nobody's to see
            same(before, host.look(), back)
        host.write(OLD)
        host.applied()
        same(before, host.look(), back)
