"""The ledger: what we own, what was there before, and which site file it came of."""

from __future__ import annotations

from netplan_tproxy.resource.kind import Kinds, from_json
from netplan_tproxy.resource.values import Id, Ledger, Owned, ledger_to_json
from netplan_tproxy.state import site_record
from netplan_tproxy.state.site_record import SiteRecord
from netplan_tproxy.state.store import Store, Values

NAME = "ledger.json"


class LedgerFile:
    """``ledger.json``. It names the run that wrote it: the journal of that run is done with."""

    def __init__(self, store: Store, kinds: Kinds) -> None:
        self._store = store
        self._kinds = kinds

    def owned(self) -> dict[Id, Owned]:
        """Read what we own; empty when nothing was ever applied (or in another boot)."""
        return owned_in(self._store, self._kinds, self._store.values(NAME), NAME)

    def site(self) -> SiteRecord | None:
        """Read which site file it came of; None where that is not on record."""
        return site_in(self._store, self._store.values(NAME), NAME)

    def run(self) -> str | None:
        """Read which run wrote it; None: no run that had a journal."""
        return (self._store.values(NAME) or {}).get("run")

    def write(self, ledger: Ledger, site: SiteRecord | None, run: str | None) -> None:
        """Replace it. Raises OSError, and then the old one stands."""
        values = {"run": run, "site": site.to_json() if site else None}
        self._store.replace(NAME, {**values, "owned": ledger_to_json(ledger)})

    def remove(self) -> None:
        """Remove it; none is fine. Raises OSError."""
        self._store.remove(NAME)


def owned_in(store: Store, kinds: Kinds, values: Values | None, name: str) -> dict[Id, Owned]:
    """Read the ledger out of a file's values. Raises DamagedError."""
    ledger = {}
    try:
        for entry in values["owned"] if values else []:
            ours = from_json(kinds, entry["ours"])
            if ours is not None:
                ledger[ours.id] = Owned(ours, from_json(kinds, entry["before"]))
    except (KeyError, TypeError, AttributeError, ValueError) as nonsense:
        raise store.unreadable(name) from nonsense
    return ledger


def site_in(store: Store, values: Values | None, name: str) -> SiteRecord | None:
    """Read the site's record out of a file's values. Raises DamagedError."""
    try:
        return site_record.from_json(values.get("site")) if values else None
    except (KeyError, TypeError, ValueError) as nonsense:
        raise store.unreadable(name) from nonsense
