"""What others named so that a terminal would act on it is shown, not obeyed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest

from netplan_tproxy.errors import ConflictError
from netplan_tproxy.output.plan import lines
from netplan_tproxy.output.reporter import LineReporter
from netplan_tproxy.reconcile.report import change_line, plan_report
from netplan_tproxy.resource.values import Change, Plan, Resource

if TYPE_CHECKING:
    from tests.lab.host import Host

HOSTILE = "x\x1b[2K\rtproxy-apply: all is well\n\x9b31m"


@dataclass(frozen=True)
class Foreign(Resource):
    kind: ClassVar[str] = "foreign"

    name: str = HOSTILE

    @property
    def key(self) -> str:
        return self.name

    @property
    def title(self) -> str:
        return f"filter {self.name}"

    @property
    def value(self) -> str:
        return self.name

    @property
    def group(self) -> str:
        return self.name


def test_a_plan_shows_such_a_name_on_its_own_line() -> None:
    thing = Foreign()
    plan = Plan((Change(thing, Foreign("y")), Change(None, thing)), (thing,), ((thing, HOSTILE),))
    shown = [*lines(plan_report(plan)), change_line(plan.changes[0])]
    assert all(line.isprintable() for line in shown)
    assert any(r"x\x1b[2K" in line for line in shown)


def test_a_message_shows_it_too() -> None:
    said: list[str] = []
    reporter = LineReporter(said.append, said.append)
    reporter.say(HOSTILE)
    reporter.fail(ConflictError(["filter x\x1b[2K: is there as y\x9b"]))
    assert all(line.isprintable() for line in said)


@pytest.mark.lab
def test_an_interface_of_that_kind_is_named_and_not_obeyed(host: Host) -> None:
    host.namespace.run(["ip", "link", "add", "w\x1b[31mx", "type", "veth"])
    host.write("version: 1\ninterfaces:\n  wan9: {}\nproxy: {port: 9040}\n")
    done = host.apply()
    assert done.code == 1
    assert r"w\x1b[31mx" in done.err
    assert "\x1b" not in done.err
