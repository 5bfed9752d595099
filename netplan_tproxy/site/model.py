"""The site file as frozen values, every default filled in.

Pure data: nothing here knows YAML, JSON Schema or the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A fwmark selector: matches when ``mark & mask == value`` (ip-rule(8))."""

    value: int
    mask: int

    def __str__(self) -> str:
        """Return ``value/mask`` in hexadecimal, as ip-rule(8) shows it."""
        return f"{self.value:#x}/{self.mask:#x}"


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface and the directions whose traffic is intercepted on it."""

    name: str
    intercept: str = "output"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the proxy's ``IP_TRANSPARENT`` socket listens."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """The listeners; a protocol without one is not intercepted."""

    tcp: Listener | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a table of ours; ``to`` is a canonical CIDR such as ``0.0.0.0/0``."""

    table: int
    to: str
    type: str = "local"
    dev: str = "lo"


@dataclass(frozen=True, slots=True)
class Rule:
    """One fwmark rule; ``priority`` is None where the file leaves it to the default."""

    mark: Mark
    table: int
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A whole site file, checked, with defaults filled in."""

    name: str
    interfaces: tuple[Interface, ...]
    proxy: Proxy
    intercept_mark: Mark
    bypass_mark: Mark
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    sysctls: tuple[tuple[str, str], ...]
    source: str = "site.yaml"
    where: dict[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)
