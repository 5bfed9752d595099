"""The planner without a kernel: desired, live and ledger in a file, plan out.

Each data/NAME.yaml holds ``desired``, ``live`` and ``ledger`` and what must come of
them: the plan's lines, conflicts, and the ledger afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from netplan_tproxy.kinds import all_kinds
from netplan_tproxy.output.plan import summary
from netplan_tproxy.reconcile.diff import by_id, diff
from netplan_tproxy.reconcile.report import change_line, plan_report
from netplan_tproxy.resource.kind import from_json
from netplan_tproxy.resource.values import Owned, Plan, Resource, to_json

CASES = sorted((Path(__file__).parent / "data").glob("*.yaml"))
KINDS = all_kinds()


def _resource(values: dict[str, Any] | None) -> Resource | None:
    return from_json(KINDS, values)


def _resources(values: list[dict[str, Any]] | None) -> list[Resource]:
    found = (_resource(value) for value in values or [])
    return [resource for resource in found if resource is not None]


def _plan(case: dict[str, Any]) -> Plan:
    owned = [
        Owned(ours, _resource(entry.get("before")))
        for entry in case.get("ledger") or []
        if (ours := _resource(entry["ours"])) is not None
    ]
    return diff(
        by_id(_resources(case.get("desired"))),
        by_id(_resources(case.get("live"))),
        {mine.ours.id: mine for mine in owned},
    )


def _in_order(plan: Plan) -> list[str]:
    """A line a change, in the order in which they are made."""
    report = plan_report(plan)
    left = [f"= {one['title']}: {one['why']}" for one in (*report["present"], *report["kept"])]
    return [*(change_line(change) for change in plan.changes), *left, summary(report)]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan_is_as_the_file_says(path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    plan = _plan(case)
    assert _in_order(plan) == case["plan"].splitlines()
    assert list(plan.conflicts) == case.get("conflicts", [])
    assert list(plan.impossible) == case.get("impossible", [])
    if "ledger_after" in case:
        after = [
            {"ours": str(mine.ours.title), "before": mine.before.value if mine.before else None}
            for mine in (plan.ledger or {}).values()
        ]
        assert after == case["ledger_after"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan_made_true_leaves_nothing_to_do_and_its_inverse_leads_back(path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    plan = _plan(case)
    if plan.conflicts or plan.impossible:
        return
    before = by_id(_resources(case.get("live")))
    live = dict(before)
    for change in plan.changes:
        assert live.get(change.id) == change.before
        live.pop(change.id, None)
        if change.after is not None:
            live[change.id] = change.after
    desired = by_id(_resources(case.get("desired")))
    assert diff(desired, live, plan.ledger or {}).changes == ()
    for change in reversed(plan.changes):
        back = change.inverse()
        live.pop(back.id, None)
        if back.after is not None:
            live[back.id] = back.after
    assert live == before


def test_every_kind_survives_the_way_to_json_and_back() -> None:
    seen = set()
    for path in CASES:
        case = yaml.safe_load(path.read_text(encoding="utf-8"))
        for resource in _resources([*(case.get("desired") or []), *(case.get("live") or [])]):
            assert _resource(to_json(resource)) == resource
            seen.add(resource.kind)
    assert seen == set(KINDS)


@pytest.mark.parametrize("kind", ["config", "fastconfig"])
def test_a_config_of_an_earlier_version_can_be_read_and_named(kind: str) -> None:
    """A ledger or journal of an upgraded host holds it."""
    resource = _resource({"kind": kind, "packed": "00" * 7})
    assert resource is not None
    assert resource.value == "of another version"
