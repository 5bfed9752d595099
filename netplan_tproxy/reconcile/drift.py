"""How the kernel differs from the site file, or from what was applied."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netplan_tproxy.errors import TproxyError
from netplan_tproxy.paths import DEFAULT_SITE
from netplan_tproxy.reconcile.session import Session
from netplan_tproxy.resource.values import Plan
from netplan_tproxy.site.load import load


@dataclass(frozen=True)
class Drift:
    """The changes that an apply would make.

    ``why`` is empty when ``file`` is what the kernel is compared with; else it says why the
    ledger takes its place. ``plan`` None: that is not on record either.
    """

    plan: Plan | None
    file: str
    why: str = ""


def drift(session: Session, file: str) -> Drift:
    """Compare the kernel with ``file``; where that can't be, with what was applied.

    The default site file stands for the one that was applied last. Raises TproxyError.
    """
    record = session.state.site_record()
    if record is not None and file == DEFAULT_SITE:
        file = record.source
    quiet = replace(session, say=lambda _: None)
    owned = quiet.owned()
    try:
        return Drift(quiet.plan(load(file), owned), file)
    except TproxyError as error:
        ours = {identity: mine.ours for identity, mine in owned.items()}
        plan = quiet.plan_to(ours, owned) if ours else None
        return Drift(plan, file, str(error).splitlines()[0])
