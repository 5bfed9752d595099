"""Random routes, each as a site file has it and as ip-route(8) has it."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

TABLES = ("200", "7000", "main")
NETWORKS = {
    4: ("default", "10.200.0.0/16", "10.200.1.0/24", "203.0.113.7/32"),
    6: ("::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8::7/128"),
}
_GATEWAYS = {4: ("10.77.0.1", "10.78.0.1", "192.0.2.1"), 6: ("fd77::1", "fd78::1", "2001:db8:9::1")}
_DEVICES = {"10.77.0.1": "wan0", "10.78.0.1": "wan1", "fd77::1": "wan0", "fd78::1": "wan1"}
_SOURCES = {4: ("10.77.0.2", "10.78.0.2"), 6: ("fd77::2", "fd78::2")}


class Drawn(NamedTuple):
    """``values`` for the site file, and ``table``."""

    table: str
    values: dict[str, Any]

    @property
    def version(self) -> int:
        return 6 if ":" in self.values["to"] else 4

    @property
    def slot(self) -> tuple[object, ...]:
        metric = self.values.get("metric", 0)
        usual = 1024 if self.version == 6 else 0
        return self.table, self.values["to"], metric or usual

    @property
    def onward(self) -> bool:
        """Whether it is put after those that lead to its gateway."""
        ways = [self.values, *self.values.get("nexthops", [])]
        return any("via" in way for way in ways)

    def words(self) -> str:
        """The line for ``route_files`` and, with a protocol, for ip(8)."""
        values = dict(self.values)
        hops = values.pop("nexthops", [])
        onlink = values.pop("onlink", False)
        words = [values.pop("type", "unicast"), values.pop("to")]
        words += _via(values, self.version)
        words += [f"{key} {value}" for key, value in values.items()]
        words += ["onlink"] if onlink and not hops else []
        words.append(f"table {self.table}")
        for hop in hops:
            rest = dict(hop)
            way = [*_via(rest, self.version), *(f"{key} {value}" for key, value in rest.items())]
            words += ["nexthop", *way, *(["onlink"] if onlink else [])]
        return " ".join(words)

    def typed(self) -> str:
        """What is typed into ip(8) to the same end."""
        head, hop, hops = self.words().partition(" nexthop")
        return f"route add {head} proto 233{hop}{hops}"


def _via(values: dict[str, Any], version: int) -> list[str]:
    via = values.pop("via", "")
    other = ":" in via and version == 4
    return [f"via {'inet6 ' if other else ''}{via}"] if via else []


def _maybe(draw: st.DrawFn, *values: Any) -> Any:
    return draw(st.sampled_from([None, None, *values]))


@st.composite
def routes(draw: st.DrawFn) -> Drawn:
    """Give a route that the file's reader takes; the kernel may refuse it all the same."""
    version = draw(st.sampled_from([4, 6]))
    kind = draw(st.sampled_from(["unicast"] * 6 + ["local", "blackhole", "unreachable",
                                                   "prohibit", "throw"]))  # fmt: skip
    values: dict[str, Any] = {"to": draw(st.sampled_from(NETWORKS[version])), "type": kind}
    more: dict[str, Any] = {"metric": _maybe(draw, 0, 5, 1024, 0xFFFFFFFE)}
    if kind in {"unicast", "local"}:
        more |= {
            "src": _maybe(draw, *_SOURCES[version]),
            "mtu": _maybe(draw, 68, 1400, 65520),
            "advmss": _maybe(draw, 1, 65495),
            "initcwnd": _maybe(draw, 10),
            "pref": _maybe(draw, "low", "medium", "high") if version == 6 else None,
        }
    if kind == "local":
        values["dev"] = draw(st.sampled_from(["lo", "lo", "wan0"]))
    if kind == "unicast":
        values |= _ways(draw, version, more)
    values |= {key: value for key, value in more.items() if value is not None}
    return Drawn(draw(st.sampled_from(TABLES)), values)


def _ways(draw: st.DrawFn, version: int, more: dict[str, Any]) -> dict[str, Any]:
    how = draw(st.sampled_from(["dev", "via", "via dev", "onlink", "other", "several"]))
    if how == "dev":
        scopes = ("global", "site", "link", "host")
        more["scope"] = _maybe(draw, *scopes) if version == 4 else None
        return {"dev": draw(st.sampled_from(["wan0", "wan1", "lo" if version == 4 else "wan1"]))}
    via = draw(st.sampled_from(_GATEWAYS[version]))
    if how == "several":
        return _several(draw, version)
    if how == "via":
        return {"via": via}
    if how == "onlink":
        return {"via": via, "dev": draw(st.sampled_from(["wan0", "wan1"])), "onlink": True}
    if how == "other" and version == 4:
        return {"via": "fd77::1", "dev": "wan0"}
    return {"via": via, "dev": _DEVICES.get(via, "wan0")}


def _several(draw: st.DrawFn, version: int) -> dict[str, Any]:
    onlink = draw(st.booleans())
    ways: list[dict[str, Any]] = [{"via": via, "dev": _DEVICES[via]}
                                  for via in _GATEWAYS[version][:2]]  # fmt: skip
    if version == 4 and not onlink:
        ways += [{"dev": "wan1"}, {"via": "fd78::1", "dev": "wan1"}]
    if onlink:
        ways.append({"via": _GATEWAYS[version][2], "dev": "wan0"})
    several = draw(st.lists(st.sampled_from(ways), unique_by=str, min_size=2, max_size=3))
    weights = [draw(st.sampled_from([None, 2, 256])) for _ in several]
    hops = [{**way, **({"weight": weight} if weight else {})}
            for way, weight in zip(several, weights, strict=True)]  # fmt: skip
    return {"nexthops": hops, **({"onlink": True} if onlink else {})}


def several_routes() -> st.SearchStrategy[list[Drawn]]:
    """Give some, no two at one place."""
    return st.lists(routes(), min_size=1, max_size=6, unique_by=lambda one: one.slot)
