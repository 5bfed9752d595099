"""The site file as frozen values, every default filled in.

Pure data: nothing here knows YAML, JSON Schema or the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netplan_tproxy.errors import Place
from netplan_tproxy.system.text import printable

AF_INET, AF_INET6 = 2, 10
PROTOCOLS = ("tcp", "udp")
LISTENERS = ("tcp", "tcp6", "udp", "udp6")  # in the order of bpf's struct config


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
    intercept: tuple[str, ...] = ("output",)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the proxy's ``IP_TRANSPARENT`` socket listens."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return ``address:port``, with brackets around IPv6."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The listeners; a protocol without one is not intercepted."""

    tcp: Listener | None = None
    tcp6: Listener | None = None
    udp: Listener | None = None
    udp6: Listener | None = None
    when_down: str = "drop"

    @property
    def listeners(self) -> dict[str, Listener | None]:
        """Each name of ``LISTENERS`` with its listener, or None."""
        return {"tcp": self.tcp, "tcp6": self.tcp6, "udp": self.udp, "udp6": self.udp6}

    @property
    def families(self) -> tuple[int, ...]:
        """The address families with a listener: 2 (AF_INET), 10 (AF_INET6)."""
        has_listener = {AF_INET: self.tcp or self.udp, AF_INET6: self.tcp6 or self.udp6}
        return tuple(family for family, listener in has_listener.items() if listener)


# ``(length, address)``: ``length`` leading bits of 16 bytes; IPv4 as ::ffff:0:0/96.
Prefix = tuple[int, bytes]
Ports = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is intercepted: all that ``intercept`` names, and nothing that ``bypass`` does.

    None: not named. Ports are ranges, both ends included.
    """

    intercept_from: tuple[Prefix, ...] | None = None
    intercept_to: tuple[Prefix, ...] | None = None
    intercept_ports: Ports | None = None
    protocols: tuple[str, ...] | None = None
    bypass_from: tuple[Prefix, ...] = ()
    bypass_to: tuple[Prefix, ...] = ()
    bypass_ports: Ports = ()
    bypass_users: tuple[str, ...] = ()
    bypass_cgroups: tuple[str, ...] = ()
    bypass_marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Hop:
    """One of several ways of a route; an empty ``dev`` is the one that leads to ``via``."""

    via: str = ""
    dev: str = ""
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a table of ours; ``to`` is a canonical CIDR such as ``0.0.0.0/0``.

    0 and "" are what the kernel does without the word: for ``metric`` 0 of IPv4 and 1024 of IPv6,
    for ``pref`` medium. ``place`` is where it stands.
    """

    table: int
    to: str
    type: str = "local"
    dev: str = "lo"
    via: str = ""
    src: str = ""
    metric: int = 0
    scope: str = ""
    mtu: int = 0
    advmss: int = 0
    initcwnd: int = 0
    onlink: bool = False
    pref: str = ""
    nexthops: tuple[Hop, ...] = ()
    place: Place | None = field(default=None, compare=False, repr=False)

    @property
    def family(self) -> int:
        """2 (AF_INET) or 10 (AF_INET6)."""
        return AF_INET6 if ":" in self.to else AF_INET

    def __str__(self) -> str:
        """Return it in the words of ip-route(8), without the table."""
        hops = "".join(f" nexthop{_way(hop)} weight {hop.weight}" for hop in self.nexthops)
        words = [
            f"{key} {value}"
            for key in ("src", "metric", "scope", "mtu", "advmss", "initcwnd", "pref")
            if (value := getattr(self, key))
        ]
        flag = ["onlink"] if self.onlink else []
        return " ".join([f"to {self.to} type {self.type}{_way(self)}", *words, *flag]) + hops


def _way(way: Route | Hop) -> str:
    via = f" via {way.via}" if way.via else ""
    return via + (f" dev {way.dev}" if way.dev else "")


@dataclass(frozen=True, slots=True)
class Rule:
    """One fwmark rule; ``priority`` is None where the file leaves it to the default."""

    mark: Mark
    table: int
    priority: int | None = None
    families: tuple[int, ...] = (AF_INET,)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must still work after a change; ``timeout`` in seconds.

    ``kind`` is tcp (HOST:PORT), ping (HOST), dns (NAME), intercepted (ADDRESS:PORT) or
    command (for /bin/sh).
    """

    kind: str
    target: str
    timeout: float = 3.0

    def __str__(self) -> str:
        """Return it as messages name it."""
        if self.kind == "command":
            return f"probe '{self.target}'"
        return f"check {self.kind} {self.target}"


@dataclass(frozen=True, slots=True)
class Fastpath:
    """Which intercepted connections skip TCP between client and proxy.

    Those of processes in ``cgroup`` (within the cgroup2 mount) to ``ports`` (None: all);
    ``budget`` is how many bytes may wait for a reader; ``accept`` names the risks taken.
    """

    enabled: bool = False
    cgroup: str = "/"
    ports: Ports | None = None
    budget: int = 256 * 1024
    accept: tuple[str, ...] = ()

    @property
    def relies_on_fionread(self) -> bool:
        """Whether a kernel on which FIONREAD is wrong is to be refused."""
        return self.enabled and "fionread" not in self.accept


@dataclass(frozen=True, slots=True)
class Site:
    """A whole site file, checked, with defaults filled in.

    ``attach``: how programs sit on devices, clsact, tcx, or auto (tcx beside others' tcx).
    """

    name: str
    interfaces: tuple[Interface, ...]
    proxy: Proxy
    intercept_mark: Mark
    bypass_mark: Mark
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    sysctls: tuple[tuple[str, str], ...]
    policy: Policy = field(default_factory=Policy)
    checks: tuple[Check, ...] = ()
    fastpath: Fastpath = field(default_factory=Fastpath)
    attach: str = "auto"
    source: str = "site.yaml"
    where: dict[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)
    texts: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def place(self, path: str) -> Place:
        """Return where the file names ``path``; for what it leaves out, its first character."""
        return Place(printable(self.source), *self.where.get(path, (1, 1)))

    @property
    def devices(self) -> frozenset[str]:
        """The devices on which programs sit: the interfaces, and lo."""
        return frozenset({"lo", *(one.name for one in self.interfaces)})

    @property
    def forwards(self) -> bool:
        """Whether it intercepts what machines behind this host send."""
        return any("forward" in one.intercept for one in self.interfaces)

    @property
    def fastpath_cgroups(self) -> tuple[str, ...]:
        """The cgroup that the fast path needs, if it is enabled."""
        return (self.fastpath.cgroup,) if self.fastpath.enabled else ()
